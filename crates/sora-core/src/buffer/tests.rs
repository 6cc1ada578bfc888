use super::*;
use crate::Value;

#[test]
fn gives_back_what_was_pushed() {
    let row = [
        Value::Null,
        Value::Bool(true),
        Value::I64(-5),
        Value::F64(2.5),
        Value::Decimal("-79228162514264337593543950335".parse().expect("a decimal")),
        Value::Text("".into()),
        Value::Bytes([0, 255].into()),
        Value::Timestamp(Timestamp::MIN),
        Value::Date(Date::MAX),
        Value::Uuid([7; 16]),
        Value::Json("{}".into()),
    ];
    let mut buffer = RowBuffer::new(row.len());
    buffer.push(&&row[..]).expect("a row");
    buffer.push(&&row[..]).expect("a row");
    assert_eq!(buffer.len(), 2);
    for buffered in buffer.iter() {
        let values: Vec<Value> = (0..row.len()).map(|at| buffered.get(at).to_value()).collect();
        assert_eq!(values, row);
    }
    assert!(buffer.row(2).is_none());
    buffer.truncate(1);
    assert_eq!(buffer.len(), 1);
    assert!(RowBuffer::default().row(0).is_none());
}

#[test]
fn whole_buffers_are_taken_as_they_are() {
    let row = |number: i64| {
        [
            Value::I64(number),
            Value::Text(format!("text {number}").into()),
            Value::Json(format!("[{number}]").into()),
            Value::Bytes([1, number.to_le_bytes()[0]].into()),
            Value::Uuid([number.to_le_bytes()[0]; 16]),
            Value::Decimal(number.into()),
        ]
    };
    let mut all = RowBuffer::new(6);
    for numbers in [0..0, 0..3, 3..4, 4..9] {
        let mut some = RowBuffer::new(6);
        for number in numbers {
            some.push(&&row(number)[..]).expect("a row");
        }
        // What is unfinished on either side is no row.
        some.cell(Cell::Text("loose")).expect("a cell");
        all.cell(Cell::Text("loose")).expect("a cell");
        assert!(all.rows(&mut some).expect("taken").is_some());
    }
    assert_eq!(all.len(), 9);
    for (number, buffered) in (0..).zip(all.iter()) {
        let values: Vec<Value> = (0..6).map(|at| buffered.get(at).to_value()).collect();
        assert_eq!(values, row(number));
    }
    assert!(all.rows(&mut RowBuffer::new(5)).expect("not taken").is_none());
}

#[test]
fn rows_are_picked_in_any_order() {
    let mut buffer = RowBuffer::new(2);
    for number in 0..10 {
        let text = Value::Text(format!("row {number}").into());
        buffer.push(&vec![text, Value::Bytes([number].into())]).expect("a row");
    }
    for picked in [vec![], vec![7, 2], vec![9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 99, 0]] {
        let rows = buffer.pick(picked.iter().copied()).expect("picked");
        let there: Vec<usize> = picked.into_iter().filter(|index| *index < 10).collect();
        assert_eq!(rows.len(), there.len());
        for (row, index) in rows.iter().zip(there) {
            assert_eq!(row.get(0), Cell::Text(&format!("row {index}")));
            assert_eq!(row.get(1), buffer.row(index).expect("a row").get(1));
        }
    }
}

#[test]
fn an_unfinished_row_is_no_row() {
    let mut buffer = RowBuffer::new(2);
    assert!(buffer.push(&vec![Value::Null]).is_err());
    assert!(buffer.is_empty());
    buffer.push(&vec![Value::Null, Value::I64(1)]).expect("a row");
    assert_eq!(buffer.row(0).expect("a row").get(1), Cell::I64(1));
}

/// Takes rows one by one, or as they are, and no more than so many.
struct Sink {
    taken: Vec<i64>,
    is_whole: bool,
    max: usize,
}

impl RowSink for Sink {
    fn row(&mut self, row: &dyn Row) -> Result<ControlFlow<()>> {
        let Cell::I64(number) = row.cell(0)? else { panic!("a number") };
        self.taken.push(number);
        let is_full = self.taken.len() == self.max;
        Ok(if is_full { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    }

    fn rows(&mut self, rows: &mut RowBuffer) -> Result<Option<ControlFlow<()>>> {
        if !self.is_whole {
            return Ok(None);
        }
        for row in rows.iter() {
            let _ = self.row(&row)?;
        }
        Ok(Some(ControlFlow::Continue(())))
    }

    fn reset(&mut self) {
        self.taken.clear();
    }
}

#[test]
fn rows_are_handed_out_as_the_sink_takes_them() {
    for (is_whole, max, expected) in
        [(true, 2, vec![0, 1, 2]), (false, 9, vec![0, 1, 2]), (false, 2, vec![0, 1])]
    {
        let mut rows = RowBuffer::for_page(1, Some(3));
        for number in 0..3 {
            rows.push(&vec![Value::I64(number)]).expect("a row");
        }
        let mut sink = Sink { taken: Vec::new(), is_whole, max };
        let flow = rows.hand_out(&mut sink).expect("handed out");
        assert_eq!(sink.taken, expected);
        assert_eq!(flow.is_break(), expected.len() < 3);
        assert!(rows.is_empty());
    }
}
