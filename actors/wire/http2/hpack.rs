//! HPACK (RFC 7541): the fields of a request are read, those of an answer are written.
//!
//! Reading is bounded: a block of a few bytes can name a large field of the table very often, so what a
//! block stands for is not put together but handed on field by field. Writing uses no table, as an answer
//! is short and nothing is to be kept for it.

use std::collections::VecDeque;

use super::huffman;

/// The most bytes that the fields kept for later blocks may have together; as the protocol begins.
const TABLE: usize = 4096;
/// What a field costs in that beside its bytes (RFC 7541 §4.1).
pub const FIELD: usize = 32;

/// Why a block cannot be read: nobody knows what the peer means from then on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unreadable;

type Field = (Box<[u8]>, Box<[u8]>);

/// Reads the blocks of one connection, in their order.
#[derive(Debug)]
pub struct Decoder {
    /// The newest first.
    table: VecDeque<Field>,
    size: usize,
    most: usize,
    name: Vec<u8>,
    value: Vec<u8>,
}

impl Default for Decoder {
    fn default() -> Self {
        Self {
            table: VecDeque::new(),
            size: 0,
            most: TABLE,
            name: Vec::new(),
            value: Vec::new(),
        }
    }
}

impl Decoder {
    /// Reads a block, and hands its fields on in their order.
    ///
    /// # Errors
    /// It is no block; what was before the fault has been handed on.
    pub fn read(
        &mut self,
        mut block: &[u8],
        mut field: impl FnMut(&[u8], &[u8]),
    ) -> Result<(), Unreadable> {
        let mut fields = false;
        while let Some(&first) = block.first() {
            if first & 0x80 != 0 {
                let index = integer(&mut block, 7)?;
                let (name, value) = self.entry(index)?;
                field(name, value);
            } else if first & 0xe0 == 0x20 {
                // A new size of the table stands in front (RFC 7541 §4.2).
                let most = integer(&mut block, 5)?;
                if fields || most > TABLE {
                    return Err(Unreadable);
                }
                self.most = most;
                self.evict(0);
                continue;
            } else {
                let kept = first & 0xc0 == 0x40;
                self.literal(&mut block, if kept { 6 } else { 4 })?;
                field(&self.name, &self.value);
                if kept {
                    self.keep();
                }
            }
            fields = true;
        }
        Ok(())
    }

    /// Reads a field that is written out, or of which the name stands in the table.
    fn literal(&mut self, block: &mut &[u8], bits: u32) -> Result<(), Unreadable> {
        let index = integer(block, bits)?;
        let mut name = std::mem::take(&mut self.name);
        name.clear();
        if index == 0 {
            string(block, &mut name)?;
        } else {
            name.extend_from_slice(self.entry(index)?.0);
        }
        self.name = name;
        self.value.clear();
        string(block, &mut self.value)
    }

    fn keep(&mut self) {
        let size = self.name.len() + self.value.len() + FIELD;
        self.evict(size);
        // One that is too large for the table empties it, and is not kept (RFC 7541 §4.4).
        if size <= self.most {
            self.size += size;
            let field = (self.name.as_slice().into(), self.value.as_slice().into());
            self.table.push_front(field);
        }
        // Large fields are rare, and their room is not kept.
        self.name.shrink_to(256);
        self.value.shrink_to(256);
    }

    /// Lets the oldest fields go until there is room for so many bytes.
    fn evict(&mut self, room: usize) {
        while self.size + room > self.most
            && let Some((name, value)) = self.table.pop_back()
        {
            self.size -= name.len() + value.len() + FIELD;
        }
        if self.table.is_empty() {
            self.table = VecDeque::new();
        }
    }

    fn entry(&self, index: usize) -> Result<(&[u8], &[u8]), Unreadable> {
        let index = index.checked_sub(1).ok_or(Unreadable)?;
        if let Some(&(name, value)) = STATIC.get(index) {
            return Ok((name, value));
        }
        let field = self.table.get(index - STATIC.len()).ok_or(Unreadable)?;
        Ok((&field.0, &field.1))
    }
}

/// Reads an integer whose first bits are the last `bits` of the first byte (RFC 7541 §5.1).
fn integer(block: &mut &[u8], bits: u32) -> Result<usize, Unreadable> {
    let (&first, mut rest) = block.split_first().ok_or(Unreadable)?;
    let most = (1_usize << bits) - 1;
    let mut number = usize::from(first) & most;
    if number == most {
        for shift in [0, 7, 14, 21] {
            let (&byte, more) = rest.split_first().ok_or(Unreadable)?;
            rest = more;
            number += usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                *block = rest;
                return Ok(number);
            }
        }
        // Nothing here is that large.
        return Err(Unreadable);
    }
    *block = rest;
    Ok(number)
}

/// Reads a string (RFC 7541 §5.2).
fn string(block: &mut &[u8], text: &mut Vec<u8>) -> Result<(), Unreadable> {
    let coded = block.first().is_some_and(|first| first & 0x80 != 0);
    let length = integer(block, 7)?;
    let (bytes, rest) = block.split_at_checked(length).ok_or(Unreadable)?;
    *block = rest;
    if coded {
        huffman::decode(bytes, text).ok_or(Unreadable)
    } else {
        text.extend_from_slice(bytes);
        Ok(())
    }
}

/// Writes `:status`.
pub fn put_status(status: &[u8], block: &mut Vec<u8>) {
    match status {
        b"200" => block.push(0x88),
        b"204" => block.push(0x89),
        b"400" => block.push(0x8c),
        b"404" => block.push(0x8d),
        // Not kept, with the name at place 8.
        _ => {
            block.push(8);
            put_string(status, block);
        }
    }
}

/// Writes a field, whose name is put into small letters.
pub fn put_field(name: &[u8], value: &[u8], block: &mut Vec<u8>) {
    block.push(0);
    let from = block.len();
    put_string(name, block);
    block[from..].make_ascii_lowercase();
    put_string(value, block);
}

fn put_string(text: &[u8], block: &mut Vec<u8>) {
    let mut length = text.len();
    if length < 127 {
        block.push(length as u8);
    } else {
        block.push(127);
        length -= 127;
        while length >= 128 {
            block.push(length as u8 | 0x80);
            length >>= 7;
        }
        block.push(length as u8);
    }
    block.extend_from_slice(text);
}

/// The fields that both sides know (RFC 7541, Appendix A).
const STATIC: [(&[u8], &[u8]); 61] = [
    (b":authority", b""),
    (b":method", b"GET"),
    (b":method", b"POST"),
    (b":path", b"/"),
    (b":path", b"/index.html"),
    (b":scheme", b"http"),
    (b":scheme", b"https"),
    (b":status", b"200"),
    (b":status", b"204"),
    (b":status", b"206"),
    (b":status", b"304"),
    (b":status", b"400"),
    (b":status", b"404"),
    (b":status", b"500"),
    (b"accept-charset", b""),
    (b"accept-encoding", b"gzip, deflate"),
    (b"accept-language", b""),
    (b"accept-ranges", b""),
    (b"accept", b""),
    (b"access-control-allow-origin", b""),
    (b"age", b""),
    (b"allow", b""),
    (b"authorization", b""),
    (b"cache-control", b""),
    (b"content-disposition", b""),
    (b"content-encoding", b""),
    (b"content-language", b""),
    (b"content-length", b""),
    (b"content-location", b""),
    (b"content-range", b""),
    (b"content-type", b""),
    (b"cookie", b""),
    (b"date", b""),
    (b"etag", b""),
    (b"expect", b""),
    (b"expires", b""),
    (b"from", b""),
    (b"host", b""),
    (b"if-match", b""),
    (b"if-modified-since", b""),
    (b"if-none-match", b""),
    (b"if-range", b""),
    (b"if-unmodified-since", b""),
    (b"last-modified", b""),
    (b"link", b""),
    (b"location", b""),
    (b"max-forwards", b""),
    (b"proxy-authenticate", b""),
    (b"proxy-authorization", b""),
    (b"range", b""),
    (b"referer", b""),
    (b"refresh", b""),
    (b"retry-after", b""),
    (b"server", b""),
    (b"set-cookie", b""),
    (b"strict-transport-security", b""),
    (b"transfer-encoding", b""),
    (b"user-agent", b""),
    (b"vary", b""),
    (b"via", b""),
    (b"www-authenticate", b""),
];

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn read(decoder: &mut Decoder, block: &[u8]) -> Result<Vec<(String, String)>, Unreadable> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let mut fields = Vec::new();
        decoder.read(block, |name, value| fields.push((text(name), text(value))))?;
        Ok(fields)
    }

    fn fields(list: &[(&str, &str)]) -> Vec<(String, String)> {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        list.iter().map(own).collect()
    }

    /// RFC 7541, Appendix C.4.
    #[test]
    fn requests_with_huffman_coding_are_read() {
        let mut decoder = Decoder::default();
        let first = [
            0x82, 0x86, 0x84, 0x41, 0x8c, 0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab,
            0x90, 0xf4, 0xff,
        ];
        let mut expected = vec![
            (":method", "GET"),
            (":scheme", "http"),
            (":path", "/"),
            (":authority", "www.example.com"),
        ];
        assert_eq!(read(&mut decoder, &first).unwrap(), fields(&expected));
        let second = [
            0x82, 0x86, 0x84, 0xbe, 0x58, 0x86, 0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf,
        ];
        expected.push(("cache-control", "no-cache"));
        assert_eq!(read(&mut decoder, &second).unwrap(), fields(&expected));
        assert_eq!(decoder.size, 110);
    }

    #[test]
    fn the_table_is_bounded() {
        let mut decoder = Decoder::default();
        for round in 0..1000 {
            let mut block = vec![0x40];
            put_string(format!("name{round}").as_bytes(), &mut block);
            put_string(&[b'x'; 300], &mut block);
            assert_eq!(read(&mut decoder, &block).unwrap().len(), 1);
            assert!(decoder.size <= TABLE && decoder.table.len() < 20);
        }
        // A field larger than the table empties it.
        let mut block = vec![0x40];
        put_string(b"name", &mut block);
        put_string(&[b'x'; 5000], &mut block);
        assert_eq!(read(&mut decoder, &block).unwrap().len(), 1);
        assert!(decoder.table.is_empty() && decoder.size == 0);
        assert_eq!(read(&mut decoder, &[0x20]).unwrap(), []);
        assert_eq!(decoder.most, 0);
    }

    #[test]
    fn what_is_no_block_is_refused() {
        for block in [
            &[0x80][..],
            &[0xbe],
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0x0f],
            &[0x40, 0x01],
            &[0x3f, 0xff, 0x1f],
            &[0x82, 0x20],
            &[0x00, 0x81, 0xff, 0x00],
        ] {
            let mut decoder = Decoder::default();
            assert_eq!(read(&mut decoder, block), Err(Unreadable), "{block:?}");
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let long = "x".repeat(1000);
        let mut block = Vec::new();
        put_status(b"200", &mut block);
        put_status(b"503", &mut block);
        put_field(b"Retry-After", b"30", &mut block);
        put_field(b"long", long.as_bytes(), &mut block);
        let expected = [
            (":status", "200"),
            (":status", "503"),
            ("retry-after", "30"),
            ("long", &long),
        ];
        assert_eq!(
            read(&mut Decoder::default(), &block).unwrap(),
            fields(&expected)
        );
    }
}
