//! One string in quotes, and its escapes.

use super::error::{Fault, Problem, excerpt};

/// Appends the string whose opening quote stands at `opening` to `out`; returns the offset behind its closing quote.
///
/// The result is bytes: only the joined literals of a field need to be UTF-8.
pub(super) fn read(text: &[u8], opening: usize, out: &mut Vec<u8>) -> Result<usize, Fault> {
    let quote = text[opening];
    let mut offset = opening + 1;
    loop {
        match text.get(offset) {
            None => return Err(Fault { offset: opening, problem: Problem::Unterminated }),
            Some(b'\n') => return Err(Fault { offset, problem: Problem::LineEndInString }),
            Some(0) => return Err(Fault { offset, problem: Problem::NulInString }),
            Some(&byte) if byte == quote => return Ok(offset + 1),
            Some(b'\\') => offset = Escape { text, start: offset }.read(out)?,
            Some(&byte) => {
                out.push(byte);
                offset += 1;
            }
        }
    }
}

/// An escape that begins with the backslash at `start`.
struct Escape<'a> {
    text: &'a [u8],
    start: usize,
}

impl Escape<'_> {
    /// Appends what the escape stands for; returns the offset behind it.
    fn read(&self, out: &mut Vec<u8>) -> Result<usize, Fault> {
        let second = self.start + 1;
        let byte = match self.text.get(second) {
            Some(b'a') => 0x07,
            Some(b'b') => 0x08,
            Some(b't') => b'\t',
            Some(b'n') => b'\n',
            Some(b'v') => 0x0B,
            Some(b'f') => 0x0C,
            Some(b'r') => b'\r',
            Some(&byte @ (b'"' | b'\'' | b'\\' | b'?')) => byte,
            Some(b'0'..=b'7') => return self.byte_by_number(second, 3, 8, out),
            Some(b'x' | b'X') => return self.byte_by_number(second + 1, 2, 16, out),
            Some(b'u' | b'U') => return self.code_point(out),
            _ => return Err(self.bad(2, "is no escape; write a backslash as `\\\\`")),
        };
        out.push(byte);
        Ok(second + 1)
    }

    /// One to `most` digits that stand for a byte.
    fn byte_by_number(&self, first: usize, most: usize, radix: u32, out: &mut Vec<u8>) -> Result<usize, Fault> {
        let digits = self.text[first..].iter().take(most).take_while(|&&byte| char::from(byte).is_digit(radix)).count();
        let end = first + digits;
        let Some(value) = number(&self.text[first..end], radix) else {
            return Err(self.bad(end - self.start, "needs one or two hexadecimal digits"));
        };
        let byte = u8::try_from(value).map_err(|_| self.bad(end - self.start, "is more than a byte, `\\377`"))?;
        out.push(byte);
        Ok(end)
    }

    /// `\uXXXX` or `\UXXXXXXXX`, and for the first half of a surrogate pair also the `\uXXXX` behind it.
    fn code_point(&self, out: &mut Vec<u8>) -> Result<usize, Fault> {
        const LONE_SURROGATE: &str = "is half of a surrogate pair; write both halves, or `\\U` and eight digits";
        let digits = if self.text[self.start + 1] == b'u' { 4 } else { 8 };
        let mut end = self.start + 2 + digits;
        let mut value = self.hexadecimal(self.start + 2, digits)?;
        if let high @ 0xD800..=0xDBFF = value {
            let follower = Escape { text: self.text, start: end };
            if !self.text[end..].starts_with(b"\\u") {
                return Err(self.bad(end - self.start, LONE_SURROGATE));
            }
            let low @ 0xDC00..=0xDFFF = follower.hexadecimal(end + 2, 4)? else {
                return Err(self.bad(end - self.start, LONE_SURROGATE));
            };
            value = 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
            end += 6;
        }
        let problem = if value > 0x0010_FFFF { "is no Unicode code point" } else { LONE_SURROGATE };
        let character = char::from_u32(value).ok_or_else(|| self.bad(end - self.start, problem))?;
        out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        Ok(end)
    }

    fn hexadecimal(&self, first: usize, digits: usize) -> Result<u32, Fault> {
        let needed = if digits == 4 { "needs four hexadecimal digits" } else { "needs eight hexadecimal digits" };
        let value = self.text.get(first..first + digits).and_then(|digits| number(digits, 16));
        value.ok_or_else(|| self.bad(first + digits - self.start, needed))
    }

    fn bad(&self, length: usize, problem: &'static str) -> Fault {
        let end = self.text.len().min(self.start + length);
        Fault { offset: self.start, problem: Problem::BadEscape { escape: raw(&self.text[self.start..end]), problem } }
    }
}

/// At most eight digits as a number; `None` if there are none or another character is among them.
fn number(digits: &[u8], radix: u32) -> Option<u32> {
    let digits = digits.iter().map(|&byte| char::from(byte).to_digit(radix));
    digits.reduce(|value, digit| Some(value? * radix + digit?)).flatten()
}

/// An escape as written: its backslash is not doubled.
fn raw(escape: &[u8]) -> String {
    format!("\\{}", excerpt(&escape[1..]))
}
