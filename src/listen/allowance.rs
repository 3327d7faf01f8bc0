//! How much may be read of a stream, and what was seen of a request's framing as it came.
//!
//! pingora repairs a request line that holds what it should not, and drops what stands in chunks beside their sizes and data.
//! What it hands out is then not what was sent, so it is looked at here, before pingora sees it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many bytes may be read of a stream until more are allowed. pingora would collect a head of a mebibyte.
#[derive(Debug, Clone, Default)]
pub struct Allowance(Arc<Watched>);

#[derive(Debug, Default)]
struct Watched {
    left: AtomicUsize,
    seen: Mutex<Seen>,
}

/// How far a request was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Seen {
    /// Nothing but empty lines.
    #[default]
    Before,
    /// So many spaces in its first line.
    Line(u8),
    /// The CR of its first line, behind two spaces.
    LineEnd,
    /// So many bytes of CR LF CR LF, somewhere behind its first line.
    Fields(u8),
    /// So many digits of the size of a chunk, if there are chunks, and the number that they make.
    Size(u8, u64),
    /// The CR behind a size.
    SizeEnd(u64),
    /// So many bytes of a chunk are still to come.
    Data(u64),
    /// So many bytes of CR LF behind the data of a chunk.
    DataEnd(u8),
    /// So many bytes of CR LF behind the last chunk.
    LastEnd(u8),
    /// All chunks.
    Chunks,
    /// A first line that is not made of three words of visible ASCII.
    OddLine,
    /// A body that is no plain chunks: sizes in hexadecimal digits, without extensions and trailers.
    OddChunks,
}

impl Seen {
    fn after(self, byte: u8) -> Self {
        match (self, byte) {
            (Self::Before, b'\r' | b'\n') => Self::Before,
            (Self::Before, b'!'..=b'~') => Self::Line(0),
            (Self::Line(spaces @ 0..=1), b' ') => Self::Line(spaces + 1),
            (Self::Line(spaces), b'!'..=b'~') => Self::Line(spaces),
            (Self::Line(2), b'\r') => Self::LineEnd,
            (Self::LineEnd, b'\n') => Self::Fields(2),
            (Self::Before | Self::Line(_) | Self::LineEnd | Self::OddLine, _) => Self::OddLine,
            (Self::Fields(3), b'\n') => Self::Size(0, 0),
            (Self::Fields(1), b'\n') => Self::Fields(2),
            (Self::Fields(at), b'\r') => Self::Fields(if at == 2 { 3 } else { 1 }),
            (Self::Fields(_), _) => Self::Fields(0),
            (Self::Size(1.., size), b'\r') => Self::SizeEnd(size),
            (Self::Size(digits @ 0..=15, size), digit) => match char::from(digit).to_digit(16) {
                Some(digit) => Self::Size(digits + 1, size << 4 | u64::from(digit)),
                None => Self::OddChunks,
            },
            (Self::SizeEnd(0), b'\n') => Self::LastEnd(0),
            (Self::SizeEnd(size), b'\n') => Self::Data(size),
            (Self::Data(1), _) => Self::DataEnd(0),
            (Self::Data(left), _) => Self::Data(left - 1),
            (Self::DataEnd(0), b'\r') => Self::DataEnd(1),
            (Self::DataEnd(1), b'\n') => Self::Size(0, 0),
            (Self::LastEnd(0), b'\r') => Self::LastEnd(1),
            (Self::LastEnd(1), b'\n') | (Self::Chunks, _) => Self::Chunks,
            _ => Self::OddChunks,
        }
    }
}

impl Allowance {
    /// So many from now on, of a request that begins.
    pub fn begin(&self, bytes: usize) {
        *self.seen() = Seen::Before;
        self.set(bytes);
    }

    /// So many from now on.
    pub fn set(&self, bytes: usize) {
        self.0.left.store(bytes, Ordering::Relaxed);
    }

    /// Whether all of them were read.
    pub fn is_exhausted(&self) -> bool {
        self.left() == 0
    }

    /// Whether the first line came as three words of visible ASCII.
    pub fn has_request_line(&self) -> bool {
        !matches!(*self.seen(), Seen::Before | Seen::Line(_) | Seen::LineEnd | Seen::OddLine)
    }

    /// Whether the body came as chunks, whole, and with nothing in them but sizes and data.
    pub fn has_plain_chunks(&self) -> bool {
        *self.seen() == Seen::Chunks
    }

    /// How many may still be read.
    pub(super) fn left(&self) -> usize {
        self.0.left.load(Ordering::Relaxed)
    }

    /// Notes bytes that are read.
    pub(super) fn take(&self, bytes: &[u8]) {
        self.0.left.fetch_sub(bytes.len(), Ordering::Relaxed);
        let mut seen = self.seen();
        *seen = bytes.iter().fold(*seen, |seen, byte| seen.after(*byte));
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Allowance {
        let allowance = Allowance::default();
        allowance.begin(1000);
        text.as_bytes().chunks(3).for_each(|piece| allowance.take(piece));
        allowance
    }

    #[test]
    fn a_request_line_is_three_words() {
        for (line, is_one) in [
            ("POST / HTTP/1.1\r\n", true),
            ("\r\n\r\nGET /?a=b HTTP/1.0\r\nX: \u{e9} \t\r\n\r\n", true),
            ("GET / HTTP/1.1\nHost: a\n", false),
            ("GET /?a b HTTP/1.1\r\n", false),
            ("GET  / HTTP/1.1\r\n", false),
            ("GET /?a\tb HTTP/1.1\r\n", false),
            ("GET /?a\u{7f} HTTP/1.1\r\n", false),
            ("GET /?\u{e9} HTTP/1.1\r\n", false),
            ("GET /?a\rb HTTP/1.1\r\n", false),
            ("GET /?a\nb HTTP/1.1\r\n", false),
            (" GET / HTTP/1.1\r\n", false),
            ("GET /\r\n", false),
            ("GET / HTTP/1.1", false),
        ] {
            assert_eq!(read(line).has_request_line(), is_one, "{line:?}");
        }
    }

    #[test]
    fn chunks_are_sizes_and_data() {
        for (body, is_plain) in [
            ("3\r\nabc\r\n0\r\n\r\n", true),
            ("03\r\nabc\r\nA\r\n0123456789\r\n00\r\n\r\n", true),
            ("4\r\n\r\n\r\n\r\n0\r\n\r\n", true),
            ("3\r\nabc\r\n0\r\n\r\nPOST / HTTP/1.1\r\n", true),
            ("3;a=b\r\nabc\r\n0\r\n\r\n", false),
            ("3\r\nabc\r\n0;a\r\n\r\n", false),
            ("3 \r\nabc\r\n0\r\n\r\n", false),
            ("3\r\nabc\r\n0\r\nA: b\r\n\r\n", false),
            ("3\nabc\r\n0\r\n\r\n", false),
            ("3\r\nabc\n0\r\n\r\n", false),
            ("3\r\nabc\r\n", false),
            ("3\r\nabc\r\n0\r\n", false),
            ("\r\n0\r\n\r\n", false),
            ("00000000000000003\r\nabc\r\n0\r\n\r\n", false),
            ("a=b", false),
            ("", false),
        ] {
            let head = "POST / HTTP/1.1\r\nHost: a\r\rb\r\n\r\n";
            assert_eq!(read(&format!("{head}{body}")).has_plain_chunks(), is_plain, "{body:?}");
        }
    }
}
