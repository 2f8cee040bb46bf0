//! Boards on USB as Linux tells of them in /sys: by vendor and model, with the serial ports and partitions that each has.

use std::path::{Path, PathBuf};

/// Vendors of the boards we know: Raspberry Pi, and those who share a number.
const VENDORS: [&str; 2] = ["2e8a", "1209"];
/// How the names of their models begin. The boot loaders of some say the first.
const MODELS: [&str; 3] = ["RP2350", "pico-ice", "Pico"];
/// Devices that are looked at.
const DEVICES_MAX: usize = 4_096;
/// From a USB interface down to the disks it has.
const DISK_DEPTH_MAX: usize = 5;

/// A board that is plugged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its serial.
    pub serial: String,
    /// Its model, as it says itself.
    pub model: String,
    /// Its first serial port, below /dev.
    pub port: Option<String>,
    /// Its partition, or its disk if that has none, below /dev.
    pub disk: Option<String>,
}

/// All boards that are plugged in; `sys` is where /sys is. What cannot be read is not there.
pub fn scan(sys: &Path) -> Vec<Found> {
    let mut found: Vec<Found> = children(&sys.join("bus/usb/devices"))
        .into_iter()
        .take(DEVICES_MAX)
        .filter_map(|device| look(&device))
        .collect();
    found.sort_by(|a, b| a.serial.cmp(&b.serial));
    found.dedup_by(|a, b| a.serial == b.serial);
    found
}

fn look(device: &Path) -> Option<Found> {
    let (vendor, model) = (word(device, "idVendor")?, word(device, "product")?);
    let known = VENDORS.contains(&vendor.as_str()) && MODELS.iter().any(|known| model.starts_with(known));
    let serial = word(device, "serial").filter(|_| known)?;
    let is_interface = |path: &PathBuf| name(path).is_some_and(|name| name.contains(':'));
    let mut interfaces: Vec<PathBuf> = children(device).into_iter().filter(is_interface).collect();
    interfaces.sort();
    let port = interfaces
        .iter()
        .find_map(|interface| children(&interface.join("tty")).first().and_then(|path| name(path)));
    let disk = interfaces.iter().find_map(|interface| disk(interface, DISK_DEPTH_MAX));
    Some(Found { serial, model, port, disk })
}

/// The partition of the first disk below.
fn disk(folder: &Path, depth: usize) -> Option<String> {
    if let Some(disk) = children(&folder.join("block")).first() {
        let whole = name(disk)?;
        let mut parts: Vec<String> = children(disk).iter().filter_map(|path| name(path)).collect();
        parts.sort();
        return Some(parts.into_iter().find(|part| part.starts_with(&whole)).unwrap_or(whole));
    }
    let below = || children(folder).into_iter().filter(|path| path.is_dir() && !path.is_symlink());
    (depth > 0).then(|| below().find_map(|path| disk(&path, depth - 1))).flatten()
}

fn children(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

fn name(path: &Path) -> Option<String> {
    path.file_name()?.to_str().map(str::to_owned)
}

fn word(device: &Path, file: &str) -> Option<String> {
    let text = std::fs::read_to_string(device.join(file)).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tree like /sys, gone when dropped.
    struct Tree(PathBuf);

    impl Tree {
        fn new(name: &str) -> Tree {
            let root = std::env::temp_dir().join(format!("berth-sysfs-{}-{name}", std::process::id()));
            std::fs::create_dir_all(&root).expect("a folder");
            Tree(root)
        }

        fn device(&self, place: &str, vendor: &str, product: &str, serial: &str) -> PathBuf {
            let device = self.0.join("bus/usb/devices").join(place);
            std::fs::create_dir_all(&device).expect("a folder");
            for (file, text) in [("idVendor", vendor), ("product", product), ("serial", serial)] {
                std::fs::write(device.join(file), format!("{text}\n")).expect("a file");
            }
            device
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            std::fs::remove_dir_all(&self.0).ok();
        }
    }

    #[test]
    fn boards_are_found_by_vendor_and_model_with_their_ports_and_partitions() {
        let tree = Tree::new("scan");
        let runs = tree.device("1-1", "2e8a", "pico-ice", "B");
        for port in ["1-1:1.2/tty/ttyACM1", "1-1:1.0/tty/ttyACM0"] {
            std::fs::create_dir_all(runs.join(port)).expect("a folder");
        }
        let boots = tree.device("1-2", "2e8a", "RP2350 Boot", "A");
        let disk = boots.join("1-2:1.0/host4/target4:0:0/4:0:0:0/block/sdb");
        std::fs::create_dir_all(disk.join("queue")).expect("a folder");
        std::fs::create_dir_all(disk.join("sdb1")).expect("a folder");
        tree.device("1-3", "046d", "Pico mouse", "C");
        tree.device("1-4", "1209", "Something", "D");
        tree.device("1-5", "1209", "Pico", "");
        std::fs::create_dir_all(tree.0.join("bus/usb/devices/1-5:1.0")).expect("a folder");
        let expected = [
            Found { serial: "A".into(), model: "RP2350 Boot".into(), port: None, disk: Some("sdb1".into()) },
            Found { serial: "B".into(), model: "pico-ice".into(), port: Some("ttyACM0".into()), disk: None },
        ];
        assert_eq!(scan(&tree.0), expected);
        std::fs::remove_dir(disk.join("sdb1")).expect("removed");
        assert_eq!(scan(&tree.0)[0].disk.as_deref(), Some("sdb"), "a disk without partitions");
        assert_eq!(scan(Path::new("/nowhere")), []);
    }
}
