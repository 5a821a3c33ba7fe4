//! Values in PostgreSQL's binary format, as the `send` function of each type writes them.

use std::fmt::Write;

use crate::sql::table::{Cell, Type};

/// Between 1970-01-01 and 2000-01-01, where PostgreSQL's time begins.
const DAYS: i32 = 10_957;
const MICROSECONDS: i64 = DAYS as i64 * 86_400_000_000;

const MALFORMED: &str = "is not in PostgreSQL's format";
const INFINITE: &str =
    "is infinite or too far away, for which there is no place in the output: write a CAST to text in the query";

/// The value in `bytes`, of a column that is put out as `kind` and called `name` by the server.
pub(super) fn cell(kind: Type, name: &str, bytes: &[u8]) -> Result<Cell, &'static str> {
    match kind {
        Type::Boolean => Ok(Cell::Boolean(array::<1>(bytes)? != [0])),
        Type::Integer => integer(name, bytes).map(Cell::Integer),
        Type::Float32 => Ok(Cell::Float32(f32::from_be_bytes(array(bytes)?))),
        Type::Float => Ok(Cell::Float(f64::from_be_bytes(array(bytes)?))),
        Type::Bytes => Ok(Cell::Bytes(bytes.to_vec())),
        Type::Date => i32::from_be_bytes(array(bytes)?)
            .checked_add(DAYS)
            .filter(|_| !is_end(bytes))
            .map(Cell::Date)
            .ok_or(INFINITE),
        Type::Time => Ok(Cell::Time(i64::from_be_bytes(array(bytes)?))),
        Type::Timestamp | Type::TimestampUtc => {
            let since_2000 = i64::from_be_bytes(array(bytes)?);
            since_2000.checked_add(MICROSECONDS).filter(|_| !is_end(bytes)).map(Cell::Timestamp).ok_or(INFINITE)
        }
        Type::Text | Type::Any | Type::Unsigned => text(name, bytes).map(Cell::Text),
    }
}

fn array<const N: usize>(bytes: &[u8]) -> Result<[u8; N], &'static str> {
    bytes.try_into().map_err(|_| MALFORMED)
}

/// The smallest and the largest number stand for the two infinities.
fn is_end(bytes: &[u8]) -> bool {
    let (first, rest) = (bytes.first(), bytes.get(1..).unwrap_or_default());
    (first == Some(&0x80) && rest.iter().all(|byte| *byte == 0))
        || (first == Some(&0x7f) && rest.iter().all(|byte| *byte == 0xff))
}

fn integer(name: &str, bytes: &[u8]) -> Result<i64, &'static str> {
    Ok(match name {
        "INT2" => i16::from_be_bytes(array(bytes)?).into(),
        "INT4" => i32::from_be_bytes(array(bytes)?).into(),
        "OID" => u32::from_be_bytes(array(bytes)?).into(),
        _ => i64::from_be_bytes(array(bytes)?),
    })
}

fn text(name: &str, bytes: &[u8]) -> Result<String, &'static str> {
    match name {
        "NUMERIC" => numeric(bytes).ok_or(MALFORMED),
        "UUID" => Ok(uuid(array(bytes)?)),
        // A version, which is 1, and the text.
        "JSONB" => utf8(bytes.strip_prefix(&[1]).ok_or(MALFORMED)?),
        "VOID" => Ok(String::new()),
        _ => utf8(bytes),
    }
}

fn utf8(bytes: &[u8]) -> Result<String, &'static str> {
    String::from_utf8(bytes.to_vec()).map_err(|_| "is a text that is not UTF-8")
}

fn uuid(bytes: [u8; 16]) -> String {
    bytes.iter().enumerate().fold(String::with_capacity(36), |mut text, (index, byte)| {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A decimal, with all its digits, as PostgreSQL prints it: groups of four digits, of which the first has the weight
/// 10000 to the power of `weight` (`numeric_send` in `numeric.c`).
fn numeric(bytes: &[u8]) -> Option<String> {
    let word = |index: usize| Some(u16::from_be_bytes(bytes.get(2 * index..2 * index + 2)?.try_into().ok()?));
    let count = usize::from(word(0)?);
    let weight = i32::from(word(1)? as i16);
    let sign = word(2)?;
    let scale = usize::from(word(3)?);
    if bytes.len() != 2 * (4 + count) {
        return None;
    }
    let mut text = match sign {
        0x0000 => String::new(),
        0x4000 => "-".to_owned(),
        0xC000 => return Some("NaN".to_owned()),
        0xD000 => return Some("Infinity".to_owned()),
        0xF000 => return Some("-Infinity".to_owned()),
        _ => return None,
    };
    // The group of the weight 10000^-place; those that are not there are 0.
    let group = |place: i32| {
        usize::try_from(place + weight).ok().filter(|index| *index < count).map_or(Some(0), |index| word(4 + index))
    };
    if weight < 0 {
        text.push('0');
    }
    for place in -weight..=0 {
        let group = group(place)?;
        let _ = if place == -weight { write!(text, "{group}") } else { write!(text, "{group:04}") };
    }
    if scale > 0 {
        text.push('.');
        let whole = text.len();
        for place in (1..).take(scale.div_ceil(4)) {
            let _ = write!(text, "{:04}", group(place)?);
        }
        text.truncate(whole + scale);
    }
    Some(text)
}
