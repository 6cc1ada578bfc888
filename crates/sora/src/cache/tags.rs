//! Columns whose values tag rows, so that all rows of one value can be taken out at once.

use std::sync::Arc;

use sora_core::remote::RemoteName;
use sora_core::{Cell, Error, ErrorKind, Result, Row, Schema, Type};

use xxhash_rust::xxh3::xxh3_64;

use crate::key_bytes::KeyBytes;

/// A column that tags the rows of an entity.
#[derive(Debug)]
pub(crate) struct Tag {
    /// Where it stands in the schema.
    pub(super) column: u16,
    /// Where it stands in a row that is read.
    pub(super) position: usize,
    /// What the names of its values are part of in the tier that processes share.
    pub(super) space: Arc<str>,
}

/// The most columns that tag rows of one table.
pub(super) const TAGS_MAX: usize = 4;

/// What tags a row, by the tag's place; a null does not. Empty where nothing can.
pub(super) type TagNames = Vec<Option<RemoteName>>;

impl Tag {
    /// Finds the columns of a policy; `space` says what the names of a column's values are part of.
    pub(super) fn all(
        schema: &Schema,
        columns: &[&str],
        space: impl Fn(&str) -> String,
    ) -> Result<Box<[Self]>> {
        if columns.len() > TAGS_MAX {
            let message = format!(
                "the rows of {:?} are tagged by {} columns; at most {TAGS_MAX} can be",
                schema.table(),
                columns.len()
            );
            return Err(Error::new(ErrorKind::InvalidInput, message));
        }
        columns.iter().map(|name| Self::new(schema, name, &space)).collect()
    }

    fn new(schema: &Schema, name: &str, space: impl Fn(&str) -> String) -> Result<Self> {
        let column = schema.find(name)?;
        let position = schema.visible().position(|visible| visible == column);
        let can_tag = matches!(
            schema.column(column).column_type,
            Type::I64 | Type::Text | Type::Uuid | Type::Bytes | Type::Date | Type::Timestamp
        );
        match position.filter(|_| can_tag) {
            Some(position) => {
                let space = space(&schema.column(column).name).into();
                Ok(Self { column, position, space })
            }
            None => {
                let message = format!(
                    "rows cannot be tagged by {name:?}: it is hidden, or of a type that keys cannot have"
                );
                Err(Error::new(ErrorKind::InvalidInput, message))
            }
        }
    }

    fn name(&self, row: &dyn Row) -> Result<Option<RemoteName>> {
        if matches!(row.cell(self.position)?, Cell::Null) {
            return Ok(None);
        }
        let value = KeyBytes::at(row, std::iter::once(self.position))?;
        Ok(Some(self.name_of(value.as_slice())))
    }

    pub(super) fn name_of(&self, value: &[u8]) -> RemoteName {
        RemoteName { space: self.space.clone(), key: value.into() }
    }
}

/// What tags a row.
pub(super) fn names(tags: &[Tag], row: &dyn Row) -> Result<TagNames> {
    tags.iter().map(|tag| tag.name(row)).collect()
}

/// That of a schema and of the columns that tag its rows: rows of another are not decoded.
pub(super) fn fingerprint(schema: &Schema, columns: &[&str]) -> u64 {
    let mut bytes = schema.fingerprint().to_le_bytes().to_vec();
    for column in columns {
        // Names hold no zeros.
        bytes.push(0);
        bytes.extend(column.bytes());
    }
    xxh3_64(&bytes)
}
