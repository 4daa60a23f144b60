//! Writing messages, for what plays an AWS endpoint in tests.

use crc32fast::hash as checksum;

/// Appends one message whose headers are all text. A name above 255 bytes or a value above 65535 is cut.
pub fn write(headers: &[(&str, &str)], payload: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&[0; super::PRELUDE]);
    for (name, value) in headers {
        let name = cut(name, usize::from(u8::MAX));
        let value = cut(value, usize::from(u16::MAX));
        out.push(name.len() as u8);
        out.extend_from_slice(name.as_bytes());
        out.push(7);
        out.extend_from_slice(&(value.len() as u16).to_be_bytes());
        out.extend_from_slice(value.as_bytes());
    }
    let headers = (out.len() - start - super::PRELUDE) as u32;
    out.extend_from_slice(payload);
    let total = (out.len() - start + super::CHECKSUM) as u32;
    let mut prelude = [total.to_be_bytes(), headers.to_be_bytes(), [0; 4]];
    let sum = checksum(prelude.as_flattened().get(..8).unwrap_or_default());
    prelude[2] = sum.to_be_bytes();
    if let Some(place) = out.get_mut(start..start + super::PRELUDE) {
        place.copy_from_slice(prelude.as_flattened());
    }
    let sum = checksum(out.get(start..).unwrap_or_default());
    out.extend_from_slice(&sum.to_be_bytes());
}

fn cut(text: &str, max: usize) -> &str {
    text.get(..text.floor_char_boundary(max)).unwrap_or_default()
}
