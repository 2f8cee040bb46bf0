//! How many boards, and which: `3`, `2x1`, `0,0,2`, or boards by their serials; and a single board, wherever one is named.

use crate::client::Request;
use std::fmt;
use std::str::FromStr;

/// The size of a job as the command line has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// So many boards.
    Boards(u32),
    /// A rectangle of triads.
    Triads {
        /// Triads along x.
        width: u32,
        /// Triads along y.
        height: u32,
    },
    /// This board.
    Exact {
        /// The triad's column.
        x: u32,
        /// The triad's row.
        y: u32,
        /// Which of its three.
        z: u32,
    },
}

impl Size {
    /// The request with this size in it.
    pub fn ask(self, request: Request) -> Request {
        match self {
            Size::Boards(boards) => request.with("boards", boards),
            Size::Triads { width, height } => request.with("width", width).with("height", height),
            Size::Exact { x, y, z } => request.with("x", x).with("y", y).with("z", z),
        }
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Size, String> {
        let wrong = || {
            format!(
                "'{text}' is no size: N boards, WxH triads, or X,Y,Z for one board (boards by serial: --serial)"
            )
        };
        if let Some([x, y, z]) = numbers(text, ',') {
            return Ok(Size::Exact { x, y, z });
        }
        if let Some([width, height]) = numbers(text, 'x') {
            return Ok(Size::Triads { width, height });
        }
        let [boards] = numbers(text, 'x').ok_or_else(wrong)?;
        Ok(Size::Boards(boards))
    }
}

/// Exactly so many numbers with this between them.
fn numbers<const N: usize>(text: &str, between: char) -> Option<[u32; N]> {
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse().ok())?;
    let numbers: Option<Vec<u32>> = text.split(between).map(digits).collect();
    numbers?.try_into().ok()
}

/// One board as the command line names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BoardAddress {
    /// By its place in a torus.
    Logical(String, [u32; 3]),
    /// By where it stands: cabinet, frame, board.
    Physical(String, [u32; 3]),
    /// By its serial.
    Serial(String),
}

impl BoardAddress {
    /// The request with this board in it.
    pub fn ask(&self, request: Request) -> Request {
        let (machine, keys, place) = match self {
            BoardAddress::Logical(machine, place) => (machine, ["x", "y", "z"], place),
            BoardAddress::Physical(machine, place) => (machine, ["cabinet", "frame", "board"], place),
            BoardAddress::Serial(serial) => return request.with("serial", serial.as_str()),
        };
        let request = request.with("machine", machine.as_str());
        keys.iter().zip(place).fold(request, |request, (key, number)| request.with(key, *number))
    }
}

impl FromStr for BoardAddress {
    type Err = String;

    /// `MACHINE:X,Y,Z`, `MACHINE:C/F/B`, or a serial, which may have colons too.
    fn from_str(text: &str) -> Result<BoardAddress, String> {
        if let Some((machine, place)) = text.rsplit_once(':') {
            if let Some(place) = numbers(place, ',') {
                return Ok(BoardAddress::Logical(machine.to_owned(), place));
            }
            if let Some(place) = numbers(place, '/') {
                return Ok(BoardAddress::Physical(machine.to_owned(), place));
            }
        }
        if numbers::<3>(text, ',').is_some() || numbers::<3>(text, '/').is_some() {
            return Err(format!("'{text}' needs its machine: MACHINE:{text}"));
        }
        if text.is_empty() {
            Err("a board has a name".to_owned())
        } else {
            Ok(BoardAddress::Serial(text.to_owned()))
        }
    }
}

impl fmt::Display for BoardAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BoardAddress::Logical(machine, [x, y, z]) => write!(f, "{machine}:{x},{y},{z}"),
            BoardAddress::Physical(machine, [c, r, b]) => write!(f, "{machine}:{c}/{r}/{b}"),
            BoardAddress::Serial(serial) => f.write_str(serial),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read() {
        assert_eq!("0".parse(), Ok(Size::Boards(0)));
        assert_eq!("17".parse(), Ok(Size::Boards(17)));
        assert_eq!("3x2".parse(), Ok(Size::Triads { width: 3, height: 2 }));
        assert_eq!("1,0,2".parse(), Ok(Size::Exact { x: 1, y: 0, z: 2 }));
        for text in [
            "",
            "x",
            "3x",
            "x2",
            "3x2x1",
            "1,0",
            "1,0,2,3",
            "-1",
            "+1",
            "1.5",
            "3X2",
            " 3",
            "4294967296",
            "a",
            "\u{661}",
        ] {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
    }

    #[test]
    fn boards_are_named() {
        let logical = BoardAddress::Logical("m".to_owned(), [0, 1, 2]);
        let physical = BoardAddress::Physical("a:b".to_owned(), [3, 4, 5]);
        assert_eq!("m:0,1,2".parse(), Ok(logical.clone()));
        assert_eq!("a:b:3/4/5".parse(), Ok(physical.clone()));
        for serial in ["sim-0001", "aa:bb:cc", "m:0,1", "7"] {
            assert_eq!(serial.parse(), Ok(BoardAddress::Serial(serial.to_owned())), "{serial}");
        }
        for text in ["", "0,1,2", "0/1/2"] {
            assert!(text.parse::<BoardAddress>().is_err(), "{text}");
        }
        assert_eq!(
            (logical.to_string(), physical.to_string()),
            ("m:0,1,2".to_owned(), "a:b:3/4/5".to_owned())
        );
        let request = physical.ask(Request::new("get_board"));
        let args: Vec<_> = request.args.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(args, ["machine=\"a:b\"", "cabinet=3", "frame=4", "board=5"]);
    }
}
