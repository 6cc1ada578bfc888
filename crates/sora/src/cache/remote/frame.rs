//! Rows as bytes that other processes read.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use sora_core::{Cell, Date, Decimal, Error, ErrorKind, Result, Row, Timestamp};
use xxhash_rust::xxh3::xxh3_64;

use super::tagged::TagNumbers;

/// What stands in front of a row, or of the knowledge that there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    /// That of the schema by which it was read: a row of another schema is not decoded.
    pub(super) fingerprint: u64,
    /// That of the table when its load began.
    pub(super) generation: u64,
    /// Those of its tags, likewise.
    pub(super) tags: TagNumbers,
    /// When it is old, in milliseconds since 1970 by the clock of who put it there. It shortens what
    /// is kept in memory, and decides nothing else.
    pub(super) expires_ms: u64,
}

/// What was read, with its cells still encoded.
#[derive(Debug)]
pub(super) struct Frame<'a> {
    pub(super) head: Head,
    /// None says that there is no row.
    body: Option<Cow<'a, [u8]>>,
}

/// The cells of a row, borrowed from a frame.
#[derive(Debug)]
pub(super) struct FramedRow<'a>(Vec<FramedCell<'a>>);

/// The layout of bytes; a later one gets another number.
///
/// Golden bytes of each stand in the tests.
const FORMAT: u8 = 1;
const HAS_ROW: u8 = 1;
const IS_COMPRESSED: u8 = 2;
const CHECKSUM_LEN: usize = 8;

/// Puts a row, or that there is none, in a frame; compressed from so many bytes of cells on, if that
/// makes it smaller.
///
/// `[format][flags][head, by postcard][cells, by postcard, or these by LZ4][checksum, XXH3]`
pub(super) fn seal(head: Head, body: Option<&[u8]>, compress_bytes_min: usize) -> Result<Vec<u8>> {
    let mut flags = if body.is_some() { HAS_ROW } else { 0 };
    let mut body = Cow::Borrowed(body.unwrap_or_default());
    if body.len() >= compress_bytes_min {
        let smaller = lz4_flex::block::compress_prepend_size(&body);
        if smaller.len() < body.len() {
            flags |= IS_COMPRESSED;
            body = Cow::Owned(smaller);
        }
    }
    let mut bytes = Vec::with_capacity(body.len() + 40);
    bytes.extend([FORMAT, flags]);
    let mut bytes = postcard::to_extend(&head, bytes).map_err(|error| unencodable(&error))?;
    bytes.extend_from_slice(&body);
    let checksum = xxh3_64(&bytes);
    bytes.extend(checksum.to_le_bytes());
    Ok(bytes)
}

/// Why bytes are not read as a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unread {
    /// They are none, or were changed.
    Broken,
    /// Its cells have more bytes than are unpacked here.
    TooLarge,
}

/// Reads a frame. Cells beyond so many bytes are not unpacked.
pub(super) fn open(bytes: &[u8], bytes_max: usize) -> Result<Frame<'_>, Unread> {
    let frame = unseal(bytes).ok_or(Unread::Broken)?;
    let (head, flags, cells) = frame;
    if flags & HAS_ROW == 0 {
        return Ok(Frame { head, body: None });
    }
    if flags & IS_COMPRESSED == 0 {
        return Ok(Frame { head, body: Some(Cow::Borrowed(cells)) });
    }
    let size = cells.first_chunk::<4>().ok_or(Unread::Broken)?;
    if usize::try_from(u32::from_le_bytes(*size)).is_ok_and(|size| size > bytes_max) {
        return Err(Unread::TooLarge);
    }
    let cells = lz4_flex::block::decompress_size_prepended(cells).map_err(|_| Unread::Broken)?;
    Ok(Frame { head, body: Some(Cow::Owned(cells)) })
}

/// The head, the flags and the cells of a frame; none if it is not one, or was changed.
fn unseal(bytes: &[u8]) -> Option<(Head, u8, &[u8])> {
    let (sealed, checksum) = bytes.split_at_checked(bytes.len().checked_sub(CHECKSUM_LEN)?)?;
    if xxh3_64(sealed).to_le_bytes() != checksum {
        return None;
    }
    let (&[format, flags], rest) = sealed.split_first_chunk::<2>()?;
    if format != FORMAT || flags & !(HAS_ROW | IS_COMPRESSED) != 0 {
        return None;
    }
    let (head, cells) = postcard::take_from_bytes::<Head>(rest).ok()?;
    Some((head, flags, cells))
}

/// Encodes the cells of a row.
pub(in crate::cache) fn encode(row: &dyn Row) -> Result<Vec<u8>> {
    let cells = (0..row.width()).map(|at| FramedCell::of(row.cell(at)?));
    let cells = cells.collect::<Result<Vec<_>>>()?;
    postcard::to_allocvec(&cells).map_err(|error| unencodable(&error))
}

impl Frame<'_> {
    /// The cells; none if there is no row. An error is no row of so many cells.
    pub(super) fn row(&self, width: usize) -> Option<Result<FramedRow<'_>, ()>> {
        let body = self.body.as_deref()?;
        let cells = postcard::from_bytes::<Vec<FramedCell<'_>>>(body);
        Some(cells.ok().filter(|cells| cells.len() == width).map(FramedRow).ok_or(()))
    }
}

impl Row for FramedRow<'_> {
    fn width(&self) -> usize {
        self.0.len()
    }

    fn cell(&self, position: usize) -> Result<Cell<'_>> {
        let cell = self.0.get(position).and_then(|cell| cell.to_cell());
        cell.ok_or_else(|| Error::new(ErrorKind::Data, "a cached row holds no such value"))
    }
}

/// A cell as it is encoded. New kinds go to the end.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum FramedCell<'a> {
    Null,
    Bool(bool),
    I64(i64),
    F64(f64),
    Decimal(i128, u8),
    #[serde(borrow)]
    Text(&'a str),
    Bytes(&'a [u8]),
    Timestamp(i64),
    Date(i32),
    Uuid([u8; 16]),
    Json(&'a str),
}

impl<'a> FramedCell<'a> {
    fn of(cell: Cell<'a>) -> Result<Self> {
        Ok(match cell {
            Cell::Null => Self::Null,
            Cell::Bool(value) => Self::Bool(value),
            Cell::I64(value) => Self::I64(value),
            Cell::F64(value) => Self::F64(value),
            Cell::Decimal(value) => Self::Decimal(value.mantissa(), value.scale()),
            Cell::Text(value) => Self::Text(value),
            Cell::Bytes(value) => Self::Bytes(value),
            Cell::Timestamp(value) => Self::Timestamp(value.micros()),
            Cell::Date(value) => Self::Date(value.days()),
            Cell::Uuid(value) => Self::Uuid(value),
            Cell::Json(value) => Self::Json(value),
            other => {
                let message = format!("the shared cache cannot hold {}", other.kind_name());
                return Err(Error::new(ErrorKind::Unsupported, message));
            }
        })
    }

    /// None if what it holds is out of the type's range.
    fn to_cell(self) -> Option<Cell<'a>> {
        Some(match self {
            Self::Null => Cell::Null,
            Self::Bool(value) => Cell::Bool(value),
            Self::I64(value) => Cell::I64(value),
            Self::F64(value) => Cell::F64(value),
            Self::Decimal(mantissa, scale) => Cell::Decimal(Decimal::new(mantissa, scale)?),
            Self::Text(value) => Cell::Text(value),
            Self::Bytes(value) => Cell::Bytes(value),
            Self::Timestamp(micros) => Cell::Timestamp(Timestamp::from_micros(micros)?),
            Self::Date(days) => Cell::Date(Date::from_days(days)?),
            Self::Uuid(value) => Cell::Uuid(value),
            Self::Json(value) => Cell::Json(value),
        })
    }
}

fn unencodable(error: &postcard::Error) -> Error {
    Error::new(ErrorKind::Internal, format!("a row cannot be encoded for the cache: {error}"))
}

#[cfg(all(test, not(sora_model)))]
mod tests {
    use sora_core::Value;

    use super::*;

    const HEAD: Head =
        Head { fingerprint: 0x1234_5678_9abc_def0, generation: 7, tags: [0; 4], expires_ms: 99 };

    fn all_kinds() -> Vec<Value> {
        vec![
            Value::Null,
            Value::Bool(true),
            Value::I64(-5),
            Value::F64(0.5),
            Value::Decimal(Decimal::new(-12_345, 2).expect("a decimal")),
            Value::Text("täxt".into()),
            Value::Bytes(vec![0, 255].into()),
            Value::Timestamp(Timestamp::from_micros(1_000_001).expect("a timestamp")),
            Value::Date(Date::from_days(-1).expect("a date")),
            Value::Uuid([3; 16]),
            Value::Json("{\"a\":1}".into()),
        ]
    }

    fn values(row: &dyn Row) -> Vec<Value> {
        (0..row.width()).map(|at| row.cell(at).expect("a cell").to_value()).collect()
    }

    #[test]
    fn a_row_of_all_kinds_comes_back_compressed_or_not() {
        let mut row = all_kinds();
        row.push(Value::Text("long ".repeat(1_000).into()));
        for compress_bytes_min in [0, 1_024, usize::MAX] {
            let body = encode(&row).expect("encoded");
            let sealed = seal(HEAD, Some(&body), compress_bytes_min).expect("sealed");
            assert_eq!(sealed.len() < 1_000, compress_bytes_min < usize::MAX);
            let frame = open(&sealed, 1 << 20).expect("a frame");
            assert_eq!(frame.head, HEAD);
            let framed = frame.row(row.len()).expect("a row").expect("of this width");
            assert_eq!(values(&framed), row);
            assert!(frame.row(row.len() - 1).expect("a row").is_err(), "of another width");
        }
    }

    #[test]
    fn the_knowledge_that_there_is_no_row_is_no_empty_row() {
        let none = seal(HEAD, None, 0).expect("sealed");
        assert!(open(&none, 0).expect("a frame").row(0).is_none());
        let nothing: Vec<Value> = Vec::new();
        let empty = seal(HEAD, Some(&encode(&nothing).expect("encoded")), 9).expect("sealed");
        assert!(open(&empty, 0).expect("a frame").row(0).is_some());
    }

    /// Bytes of format 1.
    #[test]
    fn golden_bytes_are_still_read() {
        let pairs = GOLDEN.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).expect("hex"));
        let golden: Vec<u8> =
            pairs.map(|pair| u8::from_str_radix(pair, 16).expect("hex")).collect();
        let body = encode(&all_kinds()).expect("encoded");
        assert_eq!(seal(HEAD, Some(&body), 1_024).expect("sealed"), golden, "written the same");
        let frame = open(&golden, 1 << 20).expect("a frame");
        assert_eq!(values(&frame.row(11).expect("a row").expect("of its width")), all_kinds());
    }

    const GOLDEN: &str = "0101f0bdf3d589cf959a120700000000630b000101020903000000000000e03f04f1c001\
                          02050574c3a47874060200ff0782897a080109030303030303030303030303030303030a\
                          077b2261223a317df693a2c1772dd72c";

    #[test]
    fn what_was_cut_or_changed_is_no_frame() {
        let body = encode(&all_kinds()).expect("encoded");
        let sealed = seal(HEAD, Some(&body), usize::MAX).expect("sealed");
        for len in 0..sealed.len() {
            assert!(open(&sealed[..len], 1 << 20).is_err(), "cut to {len}");
        }
        for bit in 0..sealed.len() * 8 {
            let mut flipped = sealed.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(open(&flipped, 1 << 20).is_err(), "bit {bit}");
        }
        assert!(open(b"what somebody else wrote there", 1 << 20).is_err());
    }

    /// The checksum says that nobody changed it; whoever wrote it can still have lied.
    #[test]
    fn a_frame_that_lies_is_refused() {
        let checked = |mut bytes: Vec<u8>| {
            bytes.extend(xxh3_64(&bytes).to_le_bytes());
            bytes
        };
        let head = postcard::to_allocvec(&HEAD).expect("encoded");
        let with =
            |format, flags, cells: &[u8]| checked([&[format, flags], &*head, cells].concat());
        assert!(open(&with(2, HAS_ROW, &[0]), 1 << 20).is_err(), "another format");
        assert!(open(&with(FORMAT, 4, &[0]), 1 << 20).is_err(), "an unknown flag");
        let bomb = with(FORMAT, HAS_ROW | IS_COMPRESSED, &[255, 255, 255, 255, 0]);
        assert_eq!(open(&bomb, 1 << 20).err(), Some(Unread::TooLarge), "4 GiB");
        let odd = with(FORMAT, HAS_ROW, &[1, 250]);
        assert!(open(&odd, 1 << 20).expect("a frame").row(1).expect("a row").is_err(), "no cell");
    }
}
