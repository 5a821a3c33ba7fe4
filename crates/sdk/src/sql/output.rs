//! Where rows go: Arrow's file and stream formats, CSV, or batches in memory.
//!
//! Batches are written as they come. If a task fails half-way, what was written before is there, without an end: write to
//! a new place, and use it when the task is done.

use std::fmt;
use std::io::Write;

use arrow_array::RecordBatch;
use arrow_ipc::writer::{FileWriter, StreamWriter};
use arrow_schema::{ArrowError, Schema};

use super::error::SqlError;

/// What takes the rows of a task.
///
/// The calls are made on the thread that runs the task: a slow place holds up the other work of that thread.
pub trait Output {
    /// The columns, before the first batch and also when there is none.
    ///
    /// # Errors
    /// The task is given up, and nothing is left of it in the database.
    fn begin(&mut self, schema: &Schema) -> Result<(), SqlError>;

    /// Some rows.
    ///
    /// # Errors
    /// As for [`Output::begin`].
    fn write(&mut self, batch: &RecordBatch) -> Result<(), SqlError>;

    /// All rows were written; the transaction is committed after this.
    ///
    /// # Errors
    /// As for [`Output::begin`].
    fn end(&mut self) -> Result<(), SqlError>;
}

/// Batches are kept in memory.
impl Output for Vec<RecordBatch> {
    fn begin(&mut self, _: &Schema) -> Result<(), SqlError> {
        Ok(())
    }

    fn write(&mut self, batch: &RecordBatch) -> Result<(), SqlError> {
        self.push(batch.clone());
        Ok(())
    }

    fn end(&mut self) -> Result<(), SqlError> {
        Ok(())
    }
}

/// Arrow's IPC file format, also called Feather version 2.
pub struct ArrowFile<W: Write>(Place<W, FileWriter<W>>);

/// Arrow's IPC stream format.
pub struct ArrowStream<W: Write>(Place<W, StreamWriter<W>>);

/// CSV (RFC 4180) with a line of names. Null and the empty text are both nothing; bytes are hexadecimal.
pub struct Csv<W: Write>(Place<W, arrow_csv::Writer<W>>);

/// A place that becomes a writer when the columns are known.
enum Place<W, T> {
    Empty(Option<W>),
    Open(T),
}

impl<W, T> Place<W, T> {
    fn open(&mut self, make: impl FnOnce(W) -> Result<T, ArrowError>) -> Result<(), SqlError> {
        let Self::Empty(place) = self else { return Err(used_twice()) };
        *self = Self::Open(make(place.take().ok_or_else(used_twice)?).map_err(|error| failed(&error))?);
        Ok(())
    }

    fn writer(&mut self) -> Result<&mut T, SqlError> {
        match self {
            Self::Open(writer) => Ok(writer),
            Self::Empty(_) => Err(SqlError::Output("the columns are not known yet".to_owned())),
        }
    }
}

macro_rules! outputs {
    ($($name:ident: $open:expr, $finish:expr;)*) => { $(
        impl<W: Write> $name<W> {
            /// Writes to `place`.
            pub fn new(place: W) -> Self {
                Self(Place::Empty(Some(place)))
            }
        }

        impl<W: Write> Output for $name<W> {
            fn begin(&mut self, schema: &Schema) -> Result<(), SqlError> {
                self.0.open(|place| $open(place, schema))
            }

            fn write(&mut self, batch: &RecordBatch) -> Result<(), SqlError> {
                self.0.writer()?.write(batch).map_err(|error| failed(&error))
            }

            fn end(&mut self) -> Result<(), SqlError> {
                $finish(self.0.writer()?).map_err(|error: ArrowError| failed(&error))
            }
        }

        impl<W: Write> fmt::Debug for $name<W> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(stringify!($name))
            }
        }
    )* };
}

outputs! {
    ArrowFile: |place, schema| FileWriter::try_new(place, schema), |writer: &mut FileWriter<W>| writer.finish();
    ArrowStream: |place, schema| StreamWriter::try_new(place, schema), |writer: &mut StreamWriter<W>| writer.finish();
    Csv: |place, schema: &Schema| csv(place, schema), |_: &mut arrow_csv::Writer<W>| Ok(());
}

/// A CSV writer whose names stand there even if no row does.
fn csv<W: Write>(place: W, schema: &Schema) -> Result<arrow_csv::Writer<W>, ArrowError> {
    let mut writer = arrow_csv::WriterBuilder::new().with_header(true).build(place);
    writer.write(&RecordBatch::new_empty(schema.clone().into()))?;
    Ok(writer)
}

fn used_twice() -> SqlError {
    SqlError::Output("the output was used before: make one for each run".to_owned())
}

/// Arrow's errors may quote values; what an author can do something about is the place's own error.
fn failed(error: &ArrowError) -> SqlError {
    SqlError::Output(match error {
        ArrowError::IoError(_, error) => error.to_string(),
        ArrowError::CsvError(_) => "the place cannot be written".to_owned(),
        _ => "Arrow does not take them".to_owned(),
    })
}
