//! Protocol buffers. https://protobuf.dev/programming-guides/encoding/

#[derive(Default)]
pub struct Writer {
    pub bytes: Vec<u8>,
}

const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const DELIMITED: u32 = 2;

impl Writer {
    pub fn varint(&mut self, mut value: u64) {
        while value > 127 {
            self.bytes.push(value as u8 | 128);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }

    fn tag(&mut self, field: u32, kind: u32) {
        self.varint(u64::from(field << 3 | kind));
    }

    pub fn varint_field(&mut self, field: u32, value: u64) {
        self.tag(field, VARINT);
        self.varint(value);
    }

    pub fn fixed64_field(&mut self, field: u32, value: u64) {
        self.tag(field, FIXED64);
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    pub fn string_field(&mut self, field: u32, text: &str) {
        self.tag(field, DELIMITED);
        self.varint(text.len() as u64);
        self.bytes.extend_from_slice(text.as_bytes());
    }

    /// What `write` writes, behind its length.
    pub fn message(&mut self, field: u32, write: impl FnOnce(&mut Writer)) {
        self.tag(field, DELIMITED);
        let start = self.bytes.len();
        // Most messages are shorter than 128 bytes: room for one byte of length.
        self.bytes.push(0);
        write(self);
        self.put_length(start);
    }

    /// The length of what follows the byte at `start`, which it takes the place of.
    fn put_length(&mut self, start: usize) {
        let (body, end) = (start + 1, self.bytes.len());
        let mut length = end - body;
        let more = length.max(1).ilog2() as usize / 7;
        if more > 0 {
            self.bytes.resize(end + more, 0);
            self.bytes.copy_within(body..end, body + more);
        }
        for byte in &mut self.bytes[start..start + more] {
            *byte = length as u8 | 128;
            length >>= 7;
        }
        self.bytes[start + more] = length as u8;
    }

    pub fn packed_field(&mut self, field: u32, values: impl IntoIterator<Item = u64>) {
        self.message(field, |w| values.into_iter().for_each(|value| w.varint(value)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_what_the_specification_shows() {
        let mut writer = Writer::default();
        writer.varint_field(1, 150);
        writer.string_field(2, "testing");
        writer.packed_field(6, [3, 270, 86942]);
        assert_eq!(
            writer.bytes,
            [&[8, 0x96, 1][..], &[0x12, 7], b"testing", &[0x32, 6, 3, 0x8e, 2, 0x9e, 0xa7, 5]].concat()
        );
    }

    #[test]
    fn makes_room_for_long_lengths() {
        let mut writer = Writer::default();
        writer.message(1, |w| w.message(2, |w| w.string_field(3, &"x".repeat(200))));
        assert_eq!(&writer.bytes[..9], &[10, 0xce, 1, 0x12, 0xcb, 1, 0x1a, 0xc8, 1]);
        assert_eq!(writer.bytes.len(), 9 + 200);
        for (length, told) in
            [(0, &[0][..]), (127, &[127]), (128, &[128, 1]), (16_383, &[255, 127]), (16_384, &[128, 128, 1])]
        {
            let mut writer = Writer::default();
            writer.message(1, |w| w.bytes.extend((0..length).map(|at| at as u8)));
            assert_eq!((&writer.bytes[1..=told.len()], writer.bytes.len()), (told, 1 + told.len() + length));
            assert!(writer.bytes[1 + told.len()..].iter().enumerate().all(|(at, &byte)| byte == at as u8));
        }
    }
}
