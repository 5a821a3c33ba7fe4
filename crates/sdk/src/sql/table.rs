//! Rows become columns.

use std::sync::Arc;

use arrow_array::builder::{
    ArrayBuilder, BinaryBuilder, BooleanBuilder, Date32Builder, Float32Builder, Float64Builder, Int64Builder,
    StringBuilder, Time64MicrosecondBuilder, TimestampMicrosecondBuilder, UInt64Builder,
};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema, TimeUnit};

use super::error::SqlError;

/// One value of a row, as it came out of the database.
#[derive(Clone, PartialEq)]
pub(super) enum Cell {
    Null,
    Boolean(bool),
    Integer(i64),
    Unsigned(u64),
    Float32(f32),
    Float(f64),
    Text(String),
    Bytes(Vec<u8>),
    /// Days since 1970.
    Date(i32),
    /// Microseconds since midnight.
    Time(i64),
    /// Microseconds since 1970; of what clock, the column says.
    Timestamp(i64),
}

impl Cell {
    /// Roughly its size in memory.
    fn bytes(&self) -> u64 {
        8 + match self {
            Self::Text(text) => text.len() as u64,
            Self::Bytes(bytes) => bytes.len() as u64,
            _ => 0,
        }
    }

    /// The type of a column whose first value this is, where the database has no types of columns.
    fn own_type(&self) -> Option<Type> {
        match self {
            Self::Integer(_) => Some(Type::Integer),
            Self::Float(_) => Some(Type::Float),
            Self::Text(_) => Some(Type::Text),
            Self::Bytes(_) => Some(Type::Bytes),
            _ => None,
        }
    }
}

/// The type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Boolean,
    Integer,
    Unsigned,
    Float32,
    Float,
    Text,
    Bytes,
    Date,
    Time,
    Timestamp,
    TimestampUtc,
    /// SQLite: what the first rows hold.
    Any,
}

impl Type {
    fn arrow(self) -> DataType {
        match self {
            Self::Boolean => DataType::Boolean,
            Self::Integer => DataType::Int64,
            Self::Unsigned => DataType::UInt64,
            Self::Float32 => DataType::Float32,
            Self::Float => DataType::Float64,
            Self::Text | Self::Any => DataType::Utf8,
            Self::Bytes => DataType::Binary,
            Self::Date => DataType::Date32,
            Self::Time => DataType::Time64(TimeUnit::Microsecond),
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
            Self::TimestampUtc => DataType::Timestamp(TimeUnit::Microsecond, Some(UTC.into())),
        }
    }
}

/// UTC by its offset: Arrow in Rust knows no names of zones unless a table of all zones is built in.
const UTC: &str = "+00:00";

/// One column: its name and its type.
#[derive(Clone, Debug)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: Type,
}

/// Rows that are not written yet.
pub(super) struct Table {
    columns: Vec<Column>,
    schema: Option<Arc<Schema>>,
    rows: Vec<Vec<Cell>>,
    /// Of the rows that are not written yet.
    pub(super) bytes: u64,
    /// Rows that were written.
    written: u64,
}

impl Table {
    pub(super) fn new(columns: Vec<Column>) -> Self {
        Self { columns, schema: None, rows: Vec::new(), bytes: 0, written: 0 }
    }

    pub(super) fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Rows that are not written yet.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn push(&mut self, row: Vec<Cell>) {
        self.bytes += row.iter().map(Cell::bytes).sum::<u64>();
        self.rows.push(row);
    }

    /// The columns' types: open ones are decided by the rows that are here.
    pub(super) fn schema(&mut self) -> Arc<Schema> {
        let Self { columns, rows, schema, .. } = self;
        let decide = || {
            for (index, column) in columns.iter_mut().enumerate().filter(|(_, column)| column.kind == Type::Any) {
                column.kind = decided(rows.iter().map(|row| &row[index]));
            }
            let fields: Vec<_> =
                columns.iter().map(|column| Field::new(&column.name, column.kind.arrow(), true)).collect();
            Arc::new(Schema::new(fields))
        };
        schema.get_or_insert_with(decide).clone()
    }

    /// The rows that are here, as one batch; none are left.
    pub(super) fn batch(&mut self) -> Result<RecordBatch, SqlError> {
        let schema = self.schema();
        let arrays: Result<Vec<_>, _> = (0..self.columns.len()).map(|index| self.array(index)).collect();
        self.written += self.rows.len() as u64;
        self.rows.clear();
        self.bytes = 0;
        RecordBatch::try_new(schema, arrays?)
            .map_err(|_| SqlError::Output("the columns do not fit together".to_owned()))
    }

    fn array(&self, index: usize) -> Result<ArrayRef, SqlError> {
        let column = &self.columns[index];
        let mut builder = Builder::new(column.kind);
        for (number, row) in (self.written + 1..).zip(&self.rows) {
            builder.append(&row[index]).map_err(|problem| SqlError::Value {
                column: column.name.clone(),
                row: number,
                problem,
            })?;
        }
        Ok(builder.finish())
    }
}

/// Integers and floats together are floats.
fn decided<'a>(cells: impl Iterator<Item = &'a Cell>) -> Type {
    let types = cells.filter_map(Cell::own_type);
    types.reduce(|all, next| if all == Type::Integer && next == Type::Float { next } else { all }).unwrap_or(Type::Text)
}

enum Builder {
    Boolean(BooleanBuilder),
    Integer(Int64Builder),
    Unsigned(UInt64Builder),
    Float32(Float32Builder),
    Float(Float64Builder),
    Text(StringBuilder),
    Bytes(BinaryBuilder),
    Date(Date32Builder),
    Time(Time64MicrosecondBuilder),
    Timestamp(TimestampMicrosecondBuilder),
}

impl Builder {
    fn new(kind: Type) -> Self {
        match kind {
            Type::Boolean => Self::Boolean(BooleanBuilder::new()),
            Type::Integer => Self::Integer(Int64Builder::new()),
            Type::Unsigned => Self::Unsigned(UInt64Builder::new()),
            Type::Float32 => Self::Float32(Float32Builder::new()),
            Type::Float => Self::Float(Float64Builder::new()),
            Type::Text | Type::Any => Self::Text(StringBuilder::new()),
            Type::Bytes => Self::Bytes(BinaryBuilder::new()),
            Type::Date => Self::Date(Date32Builder::new()),
            Type::Time => Self::Time(Time64MicrosecondBuilder::new()),
            Type::Timestamp => Self::Timestamp(TimestampMicrosecondBuilder::new()),
            Type::TimestampUtc => Self::Timestamp(TimestampMicrosecondBuilder::new().with_timezone(UTC)),
        }
    }

    /// # Errors
    /// What is wrong with a value of another type. Only SQLite has such.
    fn append(&mut self, cell: &Cell) -> Result<(), &'static str> {
        match (self, cell) {
            (Self::Boolean(builder), cell) => builder.append_option(option(cell, as_boolean)?),
            (Self::Integer(builder), cell) => builder.append_option(option(cell, as_integer)?),
            (Self::Unsigned(builder), cell) => builder.append_option(option(cell, as_unsigned)?),
            (Self::Float32(builder), cell) => builder.append_option(option(cell, as_float32)?),
            (Self::Float(builder), cell) => builder.append_option(option(cell, as_float)?),
            (Self::Text(builder), cell) => builder.append_option(option(cell, as_text)?),
            (Self::Bytes(builder), cell) => builder.append_option(option(cell, as_bytes)?),
            (Self::Date(builder), cell) => builder.append_option(option(cell, as_date)?),
            (Self::Time(builder), cell) => builder.append_option(option(cell, as_time)?),
            (Self::Timestamp(builder), cell) => builder.append_option(option(cell, as_timestamp)?),
        }
        Ok(())
    }

    fn finish(self) -> ArrayRef {
        let mut builder: Box<dyn ArrayBuilder> = match self {
            Self::Boolean(builder) => Box::new(builder),
            Self::Integer(builder) => Box::new(builder),
            Self::Unsigned(builder) => Box::new(builder),
            Self::Float32(builder) => Box::new(builder),
            Self::Float(builder) => Box::new(builder),
            Self::Text(builder) => Box::new(builder),
            Self::Bytes(builder) => Box::new(builder),
            Self::Date(builder) => Box::new(builder),
            Self::Time(builder) => Box::new(builder),
            Self::Timestamp(builder) => Box::new(builder),
        };
        builder.finish()
    }
}

fn option<'a, T>(cell: &'a Cell, read: impl Fn(&'a Cell) -> Option<T>) -> Result<Option<T>, &'static str> {
    match cell {
        Cell::Null => Ok(None),
        cell => {
            read(cell).map(Some).ok_or("is of another type than the column's first ones: write a CAST in the query")
        }
    }
}

macro_rules! readers {
    ($($name:ident: $kind:ident -> $type:ty;)*) => {
        $(fn $name(cell: &Cell) -> Option<$type> {
            if let Cell::$kind(value) = cell { Some(*value) } else { None }
        })*
    };
}

readers! {
    as_boolean: Boolean -> bool;
    as_integer: Integer -> i64;
    as_unsigned: Unsigned -> u64;
    as_float32: Float32 -> f32;
    as_date: Date -> i32;
    as_time: Time -> i64;
    as_timestamp: Timestamp -> i64;
}

/// An integer among floats is one of them, where SQLite leaves it to each row.
fn as_float(cell: &Cell) -> Option<f64> {
    match cell {
        Cell::Float(value) => Some(*value),
        #[expect(clippy::cast_precision_loss, reason = "as SQLite converts, and pandas")]
        Cell::Integer(value) => Some(*value as f64),
        _ => None,
    }
}

fn as_text(cell: &Cell) -> Option<&str> {
    if let Cell::Text(value) = cell { Some(value) } else { None }
}

fn as_bytes(cell: &Cell) -> Option<&[u8]> {
    if let Cell::Bytes(value) = cell { Some(value) } else { None }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
