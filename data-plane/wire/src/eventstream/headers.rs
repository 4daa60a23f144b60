//! A message's headers: the name's length and the name; a type; a value, whose length is in the type or ahead of it.

use super::Broken;

/// Names and values; a value that is not text is `None`.
pub(super) struct Headers<'a> {
    bytes: &'a [u8],
}

impl<'a> Headers<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    fn header(&mut self) -> Option<(&'a str, Option<&'a str>)> {
        let [length] = self.array()?;
        let name = std::str::from_utf8(self.take(usize::from(length))?).ok()?;
        if name.is_empty() {
            return None;
        }
        let [kind] = self.array()?;
        let text = match kind {
            // True and false.
            0 | 1 => None,
            // Whole numbers of one, two, four and eight bytes, a time, an id.
            2 => self.take(1).map(|_| None)?,
            3 => self.take(2).map(|_| None)?,
            4 => self.take(4).map(|_| None)?,
            5 | 8 => self.take(8).map(|_| None)?,
            9 => self.take(16).map(|_| None)?,
            6 => self.measured().map(|_| None)?,
            7 => Some(std::str::from_utf8(self.measured()?).ok()?),
            _ => return None,
        };
        Some((name, text))
    }

    fn measured(&mut self) -> Option<&'a [u8]> {
        let length = u16::from_be_bytes(self.array()?);
        self.take(usize::from(length))
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.bytes.split_first_chunk::<N>()?;
        self.bytes = rest;
        Some(*taken)
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(length)?;
        self.bytes = rest;
        Some(taken)
    }
}

impl<'a> Iterator for Headers<'a> {
    type Item = Result<(&'a str, Option<&'a str>), Broken>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.bytes.is_empty() {
            return None;
        }
        let header = self.header();
        if header.is_none() {
            self.bytes = &[];
        }
        Some(header.ok_or(Broken::Headers))
    }
}
