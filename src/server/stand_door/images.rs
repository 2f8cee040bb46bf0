//! The images the server knows: what they are called, and the files of those it keeps, by hash.
//!
//! A file comes under a temporary name, is hashed as it comes, and is renamed when all of it is there and is what it was
//! said to be; so a file under an image's name is whole. What an image is called lies beside it. No name of a file here comes
//! from a peer. All but the look at what is known works on files and is to be called where waiting is allowed.

use super::super::house::House;
use crate::config;
use crate::stand::message::Info;
use crate::stand::{Hash, Line, Text};
use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The folder of the data directory in which images are kept.
const FOLDER: &str = "images";

/// What the name of a file ends in that says what an image is called.
const INFO_ENDING: &str = "info";

/// What the name of a file ends in that is not whole yet.
const PART_ENDING: &str = "part";

/// The longest file that says what an image is called; one that is longer is not ours.
const INFO_BYTES_MAX: u64 = 256 * 1024;

/// See above.
#[derive(Default)]
pub struct Images(Mutex<Inside>);

/// What is behind the lock.
#[derive(Default)]
struct Inside {
    folder: PathBuf,
    known: BTreeMap<Hash, Image>,
    /// Bytes of all files that are kept, and of those that are coming.
    bytes: u64,
    /// Images that are coming for the first time.
    coming: usize,
}

/// What is known of an image.
#[derive(Clone, Debug, Default, PartialEq)]
struct Image {
    /// What it is called.
    title: Option<(Line, Text)>,
    /// How large the file is that is kept of it.
    bytes: Option<u64>,
}

/// What an image is called, as it is kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    file: String,
    description: String,
}

/// Why an image is not kept.
#[derive(Debug, PartialEq)]
pub enum NotKept {
    /// It is larger than allowed, or there is no room for it, or for one more.
    TooBig(String),
    /// It is another one.
    OtherHash(Hash),
    /// The disk says no.
    Disk(String),
}

impl Images {
    /// Finds what an earlier server kept there; files that were never whole are removed.
    pub fn find(&self, data_dir: &Path) -> io::Result<()> {
        let mut inside = self.inside();
        inside.folder = data_dir.join(FOLDER);
        let entries = match fs::read_dir(&inside.folder) {
            Ok(entries) => entries,
            // It is made when there is something to keep.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            if let Some(name) = name.to_str().filter(|_| entry.file_type().is_ok_and(|file| file.is_file())) {
                inside.find(name, &entry.path(), entry.metadata()?.len())?;
            }
        }
        Ok(())
    }

    /// What is known of an image.
    pub fn info(&self, image: Hash) -> Info {
        let title = self.inside().known.get(&image).and_then(|known| known.title.clone());
        title.map_or(Info::NoIdea, |(file, description)| Info::Known { image, file, description })
    }

    /// Whether it is known what an image is called.
    pub fn has_title(&self, image: &Hash) -> bool {
        self.inside().known.get(image).is_some_and(|known| known.title.is_some())
    }

    /// How large an image is, if it is kept.
    pub fn bytes(&self, image: &Hash) -> Option<u64> {
        self.inside().known.get(image)?.bytes
    }

    /// All images that something is known of.
    pub fn known(&self) -> Vec<Hash> {
        self.inside().known.keys().copied().collect()
    }

    /// Somebody said what an image is called. The first who does is believed. Answers what is to be written down.
    pub fn name(&self, image: Hash, file: Line, description: Text, images_max: usize) -> Option<Note> {
        let mut inside = self.inside();
        let is_new = !inside.known.contains_key(&image);
        if is_new && inside.known.len() + inside.coming >= images_max {
            return None;
        }
        let known = inside.known.entry(image).or_default();
        if known.title.is_some() {
            return None;
        }
        known.title = Some((file.clone(), description.clone()));
        let kept = Kept { file: file.to_string(), description: description.to_string() };
        Some(Note { path: inside.path(image, Some(INFO_ENDING)), kept })
    }

    /// The file of an image that is kept, and how large it is.
    pub fn open(&self, image: Hash) -> io::Result<(File, u64)> {
        let path = self.inside().path(image, None);
        let file = File::open(path)?;
        let bytes = file.metadata()?.len();
        Ok((file, bytes))
    }

    /// Makes room for an image that is coming; it is given back if the image does not come.
    pub fn expect(house: &Arc<House>, image: Hash, bytes: u64) -> Result<Arrival, NotKept> {
        let config = house.config();
        let mut inside = house.stand.images.inside();
        inside.check_room(&config.stand, image, bytes)?;
        let is_new = !inside.known.contains_key(&image);
        let forgotten = if is_new { inside.make_room(config.stand.images_max) } else { None };
        inside.bytes += bytes;
        inside.coming += usize::from(is_new);
        static ARRIVALS: AtomicU64 = AtomicU64::new(0);
        let number = ARRIVALS.fetch_add(1, Ordering::Relaxed);
        let part = inside.folder.join(format!("{image}-{number}.{PART_ENDING}"));
        drop(inside);
        Ok(Arrival {
            house: house.clone(),
            image,
            bytes,
            is_new,
            part,
            forgotten,
            file: None,
            md5: Md5::new(),
            is_kept: false,
        })
    }

    /// What is known is whole between calls, so a panic elsewhere does no harm.
    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inside {
    /// A file that was found; others than ours are left alone.
    fn find(&mut self, name: &str, path: &Path, bytes: u64) -> io::Result<()> {
        let (stem, ending) = name.split_once('.').map_or((name, None), |(stem, end)| (stem, Some(end)));
        match (Hash::of_text(stem), ending) {
            (Some(image), None) => {
                self.known.entry(image).or_default().bytes = Some(bytes);
                self.bytes = self.bytes.saturating_add(bytes);
            }
            (Some(image), Some(INFO_ENDING)) if bytes <= INFO_BYTES_MAX => {
                // One that cannot be read is told again by whoever holds the image.
                if let Ok(Kept { file, description }) = serde_json::from_slice(&fs::read(path)?) {
                    let title = (Line::new(&file), Text::new(&description));
                    self.known.entry(image).or_default().title = Some(title);
                }
            }
            (Some(_), Some(ending)) if ending == info_part() => fs::remove_file(path)?,
            (None, Some(PART_ENDING)) if is_arrival(stem) => fs::remove_file(path)?,
            _ => {}
        }
        Ok(())
    }

    fn path(&self, image: Hash, ending: Option<&str>) -> PathBuf {
        let name = ending.map_or_else(|| image.to_string(), |ending| format!("{image}.{ending}"));
        self.folder.join(name)
    }

    fn check_room(&self, stand: &config::Stand, image: Hash, bytes: u64) -> Result<(), NotKept> {
        let too_big = |what: &str| Err(NotKept::TooBig(what.to_owned()));
        if bytes > stand.image_bytes_max {
            return too_big("an image this large is not kept (stand.image_bytes_max)");
        }
        if self.bytes.saturating_add(bytes) > stand.images_bytes_max {
            return too_big(
                "there is no room for it among the images that are kept (stand.images_bytes_max)",
            );
        }
        let full = !self.known.contains_key(&image) && self.known.len() + self.coming >= stand.images_max;
        if full && self.mere_title().is_none() {
            return too_big("as many images are kept as may be (stand.images_max)");
        }
        Ok(())
    }

    /// An image of which only the title is known.
    fn mere_title(&self) -> Option<Hash> {
        self.known.iter().find(|(_, known)| known.bytes.is_none()).map(|(image, _)| *image)
    }

    /// Titles make way for images; the file of one that was forgotten.
    fn make_room(&mut self, images_max: usize) -> Option<PathBuf> {
        if self.known.len() + self.coming < images_max {
            return None;
        }
        let image = self.mere_title()?;
        self.known.remove(&image);
        Some(self.path(image, Some(INFO_ENDING)))
    }
}

/// How the name of a title ends that is being written.
fn info_part() -> String {
    format!("{INFO_ENDING}.{PART_ENDING}")
}

/// Whether the file of an image that was coming is called so, but for its ending.
fn is_arrival(stem: &str) -> bool {
    let digits = |number: &str| !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit());
    stem.split_once('-').is_some_and(|(hash, number)| Hash::of_text(hash).is_some() && digits(number))
}

/// What an image is called, to be written down.
pub struct Note {
    path: PathBuf,
    kept: Kept,
}

impl Note {
    /// Writes it down. What is lost is asked for again after the next start.
    pub fn keep(&self) {
        let part = self.path.with_extension(info_part());
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let write = || {
            fs::create_dir_all(folder)?;
            let mut file = File::create(&part)?;
            file.write_all(&serde_json::to_vec(&self.kept)?)?;
            file.sync_all()?;
            fs::rename(&part, &self.path)
        };
        if let Err(error) = write() {
            tracing::warn!(%error, path = %self.path.display(), "what an image is called was not written down");
        }
    }
}

/// An image that is coming. Dropped before it is kept, it leaves nothing behind.
pub struct Arrival {
    house: Arc<House>,
    image: Hash,
    /// As many were announced.
    bytes: u64,
    /// Nothing was known of it.
    is_new: bool,
    part: PathBuf,
    /// The title of another image, which made way.
    forgotten: Option<PathBuf>,
    file: Option<File>,
    md5: Md5,
    is_kept: bool,
}

impl Arrival {
    /// Which it is said to be.
    pub fn image(&self) -> Hash {
        self.image
    }

    /// Some of its bytes.
    pub fn take(&mut self, bytes: &[u8]) -> Result<(), NotKept> {
        self.md5.update(bytes);
        let part = &self.part;
        let forgotten = self.forgotten.take();
        let write = || {
            if self.file.is_none() {
                // A title may never have been written down.
                forgotten.into_iter().for_each(|title| drop(fs::remove_file(title)));
                fs::create_dir_all(part.parent().unwrap_or(Path::new(".")))?;
                self.file = Some(File::create_new(part)?);
            }
            self.file.as_mut().map_or(Ok(()), |file| file.write_all(bytes))
        };
        write().map_err(|error| NotKept::Disk(error.to_string()))
    }

    /// All of it came: it is kept if it is what it was said to be.
    pub fn keep(mut self) -> Result<(), NotKept> {
        self.take(&[])?;
        let found = Hash(std::mem::take(&mut self.md5).finalize().into());
        if found != self.image {
            return Err(NotKept::OtherHash(found));
        }
        self.settle().map_err(|error| NotKept::Disk(error.to_string()))
    }

    fn settle(&mut self) -> io::Result<()> {
        if let Some(file) = &self.file {
            file.sync_all()?;
        }
        let mut inside = self.house.stand.images.inside();
        let path = inside.path(self.image, None);
        fs::rename(&self.part, &path)?;
        let known = inside.known.entry(self.image).or_default();
        // It may have come twice; then the room of one is given back.
        let before = known.bytes.replace(self.bytes).unwrap_or(0);
        inside.bytes = inside.bytes.saturating_sub(before);
        inside.coming -= usize::from(self.is_new);
        self.is_kept = true;
        let folder = inside.folder.clone();
        drop(inside);
        // Before this a loss of power could take it away, so whoever brought it is told otherwise until then, and brings it again.
        File::open(folder)?.sync_all()
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        if self.is_kept {
            return;
        }
        if self.file.take().is_some()
            && let Err(error) = fs::remove_file(&self.part)
        {
            tracing::warn!(%error, path = %self.part.display(), "a part of an image was not removed");
        }
        let mut inside = self.house.stand.images.inside();
        inside.bytes = inside.bytes.saturating_sub(self.bytes);
        inside.coming -= usize::from(self.is_new);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of a test's own; gone when dropped.
    struct Dir(PathBuf);

    impl Dir {
        fn new(name: &str) -> Dir {
            let dir = std::env::temp_dir().join(format!("berth-images-{}-{name}", std::process::id()));
            fs::remove_dir_all(&dir).ok();
            Dir(dir)
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).ok();
        }
    }

    fn hash(digit: u8) -> Hash {
        Hash([digit; 16])
    }

    #[test]
    fn what_images_are_called_is_found_again_and_the_first_word_counts() {
        let dir = Dir::new("titles");
        let images = Images::default();
        images.find(&dir.0).expect("nothing is there yet");
        let title = |name: &str| (Line::new(name), Text::new("a disc\n\nof two paragraphs"));
        let name = |image, text: &str, max| {
            let (file, description) = title(text);
            images.name(image, file, description, max)
        };
        name(hash(1), "one.iso", 2).expect("news").keep();
        assert!(name(hash(1), "other.iso", 2).is_none());
        name(hash(2), "two.iso", 2).expect("news").keep();
        assert!(name(hash(3), "three.iso", 2).is_none(), "no more than two are known");
        let again = Images::default();
        let halves = [format!("{}-3.part", hash(4)), format!("{}.info.part", hash(4))];
        let others = ["notes.part", "x.depart", "notes.txt"];
        let write = |name: &str| fs::write(dir.0.join("images").join(name), "half").expect("a file");
        halves.iter().for_each(|name| write(name));
        others.iter().for_each(|name| write(name));
        again.find(&dir.0).expect("found");
        let (file, description) = title("one.iso");
        assert_eq!(again.info(hash(1)), Info::Known { image: hash(1), file, description });
        assert_eq!((again.known(), again.info(hash(3))), (vec![hash(1), hash(2)], Info::NoIdea));
        let is_there = |name: &str| dir.0.join("images").join(name).exists();
        assert!(!halves.iter().any(|name| is_there(name)) && others.iter().all(|name| is_there(name)));
    }

    #[test]
    fn there_is_room_up_to_three_limits() {
        let stand = |image_bytes_max, images_bytes_max, images_max| config::Stand {
            image_bytes_max,
            images_bytes_max,
            images_max,
            ..config::Config::load(Some(""), &[], &[]).expect("defaults").stand
        };
        let mut inside = Inside { bytes: 90, ..Inside::default() };
        inside.known.insert(hash(1), Image { bytes: Some(90), ..Image::default() });
        let fits = |stand: config::Stand, image, bytes| inside.check_room(&stand, image, bytes).is_ok();
        assert!(fits(stand(10, 100, 2), hash(2), 10));
        assert!(!fits(stand(9, 100, 2), hash(2), 10));
        assert!(!fits(stand(10, 99, 2), hash(2), 10));
        assert!(!fits(stand(10, 100, 1), hash(2), 10));
        assert!(fits(stand(10, 100, 1), hash(1), 10), "something is known of it already");
        assert!(!fits(stand(u64::MAX, u64::MAX - 1, 2), hash(2), u64::MAX));
    }

    #[test]
    fn titles_make_way_for_images() {
        let mut inside = Inside::default();
        inside.known.insert(hash(1), Image { bytes: Some(90), ..Image::default() });
        inside.known.insert(hash(2), Image::default());
        assert_eq!(inside.make_room(3), None, "there is room");
        assert_eq!(inside.make_room(2), Some(inside.path(hash(2), Some(INFO_ENDING))));
        assert_eq!(inside.known.keys().collect::<Vec<_>>(), [&hash(1)]);
        assert_eq!((inside.make_room(1), inside.known.len()), (None, 1), "images do not");
    }
}
