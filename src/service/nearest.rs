//! The known word that somebody probably meant.

/// A word longer than this is compared with nothing.
const WORD_BYTES_MAX: usize = 64;

/// ` (did you mean 'x'?)`, or nothing when no known word is near.
pub fn hint<'k>(word: &str, known: impl Iterator<Item = &'k str>) -> String {
    nearest(word, known).map(|near| format!(" (did you mean '{near}'?)")).unwrap_or_default()
}

/// The nearest of the known words, if it is near at all: every third letter may be wrong.
pub fn nearest<'k>(word: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    if word.is_empty() || word.len() > WORD_BYTES_MAX {
        return None;
    }
    let word = word.to_ascii_lowercase();
    let rated = known.map(|candidate| (distance(word.as_bytes(), candidate.as_bytes()), candidate));
    let near = rated.filter(|(wrong, candidate)| *wrong <= candidate.len().max(3) / 3);
    near.min_by_key(|(wrong, _)| *wrong).map(|(_, candidate)| candidate)
}

/// How many letters must be put in, left out or replaced to make one word of the other.
fn distance(from: &[u8], to: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (above, a) in from.iter().enumerate() {
        let mut corner = above;
        let mut left = above + 1;
        for (b, cell) in to.iter().zip(row.iter_mut().skip(1)) {
            let replaced = corner + usize::from(a != b);
            corner = *cell;
            left = replaced.min(left + 1).min(corner + 1);
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = above + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_counted_in_letters() {
        let rows = [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("kitten", "sitting", 3),
            ("ab", "ba", 2),
            ("same", "same", 0),
        ];
        for (from, to, wrong) in rows {
            assert_eq!(distance(from.as_bytes(), to.as_bytes()), wrong, "{from} {to}");
        }
    }

    #[test]
    fn only_a_near_word_is_hinted_at() {
        let known = || ["job_id", "keepalive", "x"].into_iter();
        assert_eq!(nearest("jobid", known()), Some("job_id"));
        assert_eq!(nearest("Keep_Alive", known()), Some("keepalive"));
        assert_eq!(nearest("y", known()), Some("x"));
        for far in ["", "machine", &"x".repeat(65)] {
            assert_eq!(nearest(far, known()), None, "{far}");
        }
        assert_eq!(hint("job_ids", known()), " (did you mean 'job_id'?)");
        assert_eq!(hint("frame", known()), "");
    }
}
