//! What a program is told of its boards: words in its arguments, the environment, and a file with all addresses.

use crate::cli::answers::{JobMachine, names_text};
use std::cell::OnceCell;
use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// What there is to tell. The file is removed when this is dropped.
pub struct Told {
    job: u64,
    machine: JobMachine,
    server: String,
    /// The file with all addresses, once somebody asked for it.
    addresses: OnceCell<PathBuf>,
}

impl Told {
    /// Of a job and what it was given.
    pub fn new(job: u64, machine: JobMachine, server: String) -> Told {
        Told { job, machine, server, addresses: OnceCell::new() }
    }

    /// The arguments with all words replaced. What was put in is not searched again; braces around anything else stay.
    pub fn substitute(&self, words: &[OsString]) -> io::Result<Vec<OsString>> {
        words
            .iter()
            .map(|word| match word.to_str() {
                Some(text) if text.contains('{') => self.replace(text).map(OsString::from),
                _ => Ok(word.clone()),
            })
            .collect()
    }

    fn replace(&self, text: &str) -> io::Result<String> {
        let (mut out, mut rest) = (String::new(), text);
        while let Some(at) = rest.find('{') {
            out.push_str(&rest[..at]);
            rest = &rest[at..];
            let word = rest[1..].split_once('}').map(|(word, _)| word);
            match word.map(|word| self.value(word)).transpose()?.flatten() {
                Some(value) => {
                    out.push_str(&value);
                    rest = &rest[word.map_or(0, str::len) + 2..];
                }
                None => {
                    out.push('{');
                    rest = &rest[1..];
                }
            }
        }
        out.push_str(rest);
        Ok(out)
    }

    /// What stands for a word; none when it is none of ours. What a pool does not have is empty.
    fn value(&self, word: &str) -> io::Result<Option<String>> {
        let or_empty =
            |number: Option<u32>| Some(number.map(|number| number.to_string()).unwrap_or_default());
        Ok(match word {
            "hostname" => Some(self.hostname().unwrap_or_default()),
            "width" => or_empty(self.machine.width),
            "height" => or_empty(self.machine.height),
            "job" => Some(self.job.to_string()),
            "boards" => Some(self.boards()),
            "ethernet_ips" => Some(self.addresses()?.display().to_string()),
            _ => None,
        })
    }

    /// What stands in the environment; none where a variable must not be there.
    pub fn environment(&self) -> [(&'static str, Option<String>); 7] {
        let machine = &self.machine;
        [
            ("BERTH_JOB", Some(self.job.to_string())),
            ("BERTH_HOSTNAME", self.hostname()),
            ("BERTH_WIDTH", machine.width.map(|width| width.to_string())),
            ("BERTH_HEIGHT", machine.height.map(|height| height.to_string())),
            ("BERTH_BOARDS", Some(self.boards())),
            ("BERTH_MACHINE", machine.machine_name.clone()),
            ("BERTH_SERVER", Some(self.server.clone())),
        ]
    }

    fn hostname(&self) -> Option<String> {
        let (_, host) = self.machine.connections.as_deref()?.first()?;
        Some(host.clone())
    }

    fn boards(&self) -> String {
        names_text(self.machine.boards.as_deref().unwrap_or_default())
    }

    /// The file with all addresses, written when it is asked for first.
    fn addresses(&self) -> io::Result<&Path> {
        if let Some(path) = self.addresses.get() {
            return Ok(path);
        }
        let path = self.write_addresses()?;
        Ok(self.addresses.get_or_init(|| path))
    }

    fn write_addresses(&self) -> io::Result<PathBuf> {
        let name = format!("berth-job-{}-{}.csv", self.job, uuid::Uuid::new_v4().simple());
        let path = std::env::temp_dir().join(name);
        // A file or link that somebody else has put there is not followed.
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        file.write_all(addresses_csv(&self.machine).as_bytes())?;
        Ok(path)
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        if let Some(path) = self.addresses.get() {
            // The program may have removed it.
            let _ = fs::remove_file(path);
        }
    }
}

/// Chip and host of every board that can be reached.
fn addresses_csv(machine: &JobMachine) -> String {
    let mut text = "x,y,hostname\n".to_owned();
    for ([x, y], host) in machine.connections.as_deref().unwrap_or_default() {
        text.push_str(&format!("{x},{y},{host}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::answers::BoardName;

    fn told() -> Told {
        let machine = JobMachine {
            width: Some(8),
            height: Some(12),
            connections: Some(vec![([0, 0], "10.11.0.1".to_owned()), ([4, 8], "{job}".to_owned())]),
            machine_name: Some("m".to_owned()),
            boards: Some(vec![BoardName::Triad([0, 0, 0]), BoardName::Triad([0, 0, 1])]),
        };
        Told::new(7, machine, "lab:7007".to_owned())
    }

    fn replaced(told: &Told, text: &str) -> String {
        told.substitute(&[text.into()]).unwrap()[0].to_str().unwrap().to_owned()
    }

    #[test]
    fn words_are_replaced_and_nothing_else() {
        let told = told();
        for (text, expected) in [
            ("{hostname}", "10.11.0.1"),
            ("--size={width}x{height}!", "--size=8x12!"),
            ("{job}{job}", "77"),
            ("{boards}", "0,0,0 0,0,1"),
            ("{}", "{}"),
            ("{job", "{job"),
            ("{{job}}", "{7}"),
            ("{Job} {jobs} }{", "{Job} {jobs} }{"),
            ("\u{e9}{\u{e9}}{job}", "\u{e9}{\u{e9}}7"),
            ("", ""),
        ] {
            assert_eq!(replaced(&told, text), expected, "{text}");
        }
    }

    #[test]
    fn what_was_put_in_is_not_searched_again() {
        let mut told = told();
        told.machine.connections = Some(vec![([0, 0], "{job}".to_owned())]);
        assert_eq!(replaced(&told, "{hostname}"), "{job}");
    }

    #[test]
    fn a_pool_has_no_width() {
        let machine =
            JobMachine { boards: Some(vec![BoardName::Serial("s1".to_owned())]), ..JobMachine::default() };
        let told = Told::new(7, machine, String::new());
        assert_eq!(replaced(&told, "[{width}{hostname}] {boards}"), "[] s1");
        let environment = told.environment();
        assert!(
            environment.contains(&("BERTH_WIDTH", None)) && environment.contains(&("BERTH_HOSTNAME", None))
        );
    }

    #[test]
    fn all_addresses_are_in_a_file_that_goes_with_us() {
        let told = told();
        let path = replaced(&told, "{ethernet_ips}");
        assert_eq!(replaced(&told, "{ethernet_ips}"), path);
        assert_eq!(fs::read_to_string(&path).unwrap(), "x,y,hostname\n0,0,10.11.0.1\n4,8,{job}\n");
        drop(told);
        assert!(!Path::new(&path).exists());
    }
}
