//! Reading fields off the front of bytes, with an error instead of a panic where they end.

use super::PacketError;

/// What is left to read of a packet, and how much there was.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    bytes: usize,
}

impl<'a> Reader<'a> {
    /// Reads from the start.
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { rest: bytes, bytes: bytes.len() }
    }

    /// The next bytes, so many.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], PacketError> {
        let bytes_min = self.bytes - self.rest.len() + count;
        let split = self.rest.split_at_checked(count);
        let (taken, rest) = split.ok_or(PacketError::TooShort { bytes: self.bytes, bytes_min })?;
        self.rest = rest;
        Ok(taken)
    }

    /// The next bytes, as many as the array has.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], PacketError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    /// One byte.
    pub fn u8(&mut self) -> Result<u8, PacketError> {
        self.array().map(|[byte]| byte)
    }

    /// Two bytes, the low one first.
    pub fn u16(&mut self) -> Result<u16, PacketError> {
        self.array().map(u16::from_le_bytes)
    }

    /// Four bytes, the low one first.
    pub fn u32(&mut self) -> Result<u32, PacketError> {
        self.array().map(u32::from_le_bytes)
    }

    /// Numbers of two bytes each, the low one first.
    pub fn u16s<const N: usize>(&mut self) -> Result<[u16; N], PacketError> {
        let mut words = [0; N];
        for word in &mut words {
            *word = self.u16()?;
        }
        Ok(words)
    }

    /// Numbers of four bytes each, the low one first.
    pub fn u32s<const N: usize>(&mut self) -> Result<[u32; N], PacketError> {
        let mut words = [0; N];
        for word in &mut words {
            *word = self.u32()?;
        }
        Ok(words)
    }

    /// Everything that is left.
    pub fn rest(self) -> &'a [u8] {
        self.rest
    }

    /// Ends the reading; an error if anything is left.
    pub fn end(self) -> Result<(), PacketError> {
        match self.rest.len() {
            0 => Ok(()),
            left => Err(PacketError::TooLong { bytes: self.bytes, bytes_max: self.bytes - left }),
        }
    }
}
