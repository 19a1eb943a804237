//! Tables of text for people.

use std::fmt;

/// A heading, and how what stands below it is aligned.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Column {
    /// To the left.
    Text(&'static str),
    /// To the right.
    Number(&'static str),
}

/// Rows whose columns line up. The widths are those of the longest cells.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(columns: &[Column]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new() }
    }

    /// Adds a row; cells beyond the last column are left out.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().take(self.columns.len()).collect());
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    fn width(&self, index: usize) -> usize {
        let cells = self.rows.iter().filter_map(|row| row.get(index));
        let widths = cells.map(|cell| cell.chars().count());
        widths.chain([self.columns[index].heading().len()]).max().unwrap_or_default()
    }

    fn line(&self, widths: &[usize], cells: &[String]) -> String {
        let columns = self.columns.iter().zip(widths).zip(cells);
        let cells = columns.map(|((column, &width), cell)| match column {
            Column::Text(_) => format!("{cell:<width$}"),
            Column::Number(_) => format!("{cell:>width$}"),
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths: Vec<usize> = (0..self.columns.len()).map(|index| self.width(index)).collect();
        let headings: Vec<String> =
            self.columns.iter().map(|column| column.heading().to_owned()).collect();
        f.write_str(&self.line(&widths, &headings))?;
        for row in &self.rows {
            write!(f, "\n{}", self.line(&widths, row))?;
        }
        Ok(())
    }
}

impl Column {
    fn heading(self) -> &'static str {
        match self {
            Self::Text(heading) | Self::Number(heading) => heading,
        }
    }
}

/// A number whose thousands can be told apart, such as `12,345`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if 0 < index && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_no_line_ends_in_blanks() {
        let mut table = Table::new(&[Column::Text("step"), Column::Number("ms"), Column::Text("")]);
        table.row(["checkout".into(), "1.5".into(), "ok".into()]);
        table.row(["größe".into(), "1,000.0".into(), String::new()]);

        let expected = "step           ms\ncheckout      1.5  ok\ngröße     1,000.0";
        assert_eq!(table.to_string(), expected);
    }

    #[test]
    fn thousands_are_told_apart() {
        for (number, text) in
            [(0, "0"), (999, "999"), (1_000, "1,000"), (12_345, "12,345"), (1_000_000, "1,000,000")]
        {
            assert_eq!(grouped(number), text);
        }
    }
}
