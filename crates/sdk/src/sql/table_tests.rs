#![allow(clippy::unwrap_used)]

use arrow_array::Array;

use super::*;

fn table(kind: Type, cells: Vec<Cell>) -> Table {
    let mut table = Table::new(vec![Column { name: "c".to_owned(), kind }]);
    cells.into_iter().for_each(|cell| table.push(vec![cell]));
    table
}

#[test]
fn the_first_rows_decide_the_type_of_an_open_column_for_all_later_ones() {
    let mut table = table(Type::Any, vec![Cell::Null, Cell::Integer(1)]);
    assert_eq!(table.batch().unwrap().schema().field(0).data_type(), &DataType::Int64);
    table.push(vec![Cell::Text("t".to_owned())]);
    let error = table.batch().unwrap_err();
    assert!(matches!(error, SqlError::Value { row: 3, .. }), "{error}");
}

#[test]
fn every_type_has_nulls() {
    for kind in [
        Type::Boolean,
        Type::Integer,
        Type::Unsigned,
        Type::Float32,
        Type::Float,
        Type::Text,
        Type::Bytes,
        Type::Date,
        Type::Time,
        Type::Timestamp,
        Type::TimestampUtc,
        Type::Any,
    ] {
        let batch = table(kind, vec![Cell::Null, Cell::Null]).batch().unwrap();
        assert_eq!(batch.column(0).null_count(), 2, "{kind:?}");
        assert_eq!(batch.column(0).data_type(), &kind.arrow());
    }
}

#[test]
fn bytes_count_what_is_not_written_yet() {
    let mut table = table(Type::Text, vec![Cell::Text("12345".to_owned()), Cell::Null]);
    assert_eq!(table.bytes, 8 + 5 + 8);
    table.batch().unwrap();
    assert_eq!((table.bytes, table.len()), (0, 0));
}
