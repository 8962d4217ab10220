//! Tables as people know them from psql: `|` between columns, a line under the header.

/// On which side a column is filled with spaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Align {
    /// Text begins at the left; the column is as wide as its widest cell.
    Left,
    /// Text ends at the right.
    Right,
    /// The last column, of free text: never filled.
    Free,
}

/// One column of a table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    title: &'static str,
    align: Align,
    width: usize,
}

impl Column {
    /// A column at least `width` wide.
    pub(super) const fn new(title: &'static str, align: Align, width: usize) -> Self {
        Self { title, align, width }
    }
}

/// A table whose widths are fixed: rows can be printed as they come.
#[derive(Clone, Debug)]
pub(super) struct Table {
    columns: Vec<Column>,
}

impl Table {
    /// Columns wide enough for their titles and for these rows.
    pub(super) fn new<'a, R>(columns: &[Column], rows: impl IntoIterator<Item = &'a R>) -> Self
    where
        R: AsRef<[String]> + 'a,
    {
        let mut columns = columns.to_vec();
        for column in &mut columns {
            if column.align != Align::Free {
                column.width = column.width.max(column.title.chars().count());
            }
        }
        for row in rows {
            for (column, cell) in columns.iter_mut().zip(row.as_ref()) {
                if column.align != Align::Free {
                    column.width = column.width.max(cell.chars().count());
                }
            }
        }
        Self { columns }
    }

    /// The two lines on top.
    pub(super) fn header(&self) -> String {
        let titles: Vec<String> = self.columns.iter().map(|column| column.title.to_owned()).collect();
        format!("{}\n{}", self.row(&titles), self.line())
    }

    fn line(&self) -> String {
        let last = self.columns.len().saturating_sub(1);
        let dashes: Vec<String> = self
            .columns
            .iter()
            .enumerate()
            .map(|(index, column)| {
                let spaces = usize::from(index != 0) + usize::from(index != last);
                "-".repeat(column.width + spaces)
            })
            .collect();
        dashes.join("+")
    }

    /// One line.
    pub(super) fn row(&self, cells: &[String]) -> String {
        let filled: Vec<String> = self
            .columns
            .iter()
            .zip(cells)
            .map(|(column, cell)| match column.align {
                Align::Left => format!("{cell:<width$}", width = column.width),
                Align::Right => format!("{cell:>width$}", width = column.width),
                Align::Free => cell.clone(),
            })
            .collect();
        filled.join(" | ")
    }
}

/// A whole table, with the empty line that ends it.
pub(super) fn render<R: AsRef<[String]>>(columns: &[Column], rows: &[R]) -> String {
    let table = Table::new(columns, rows);
    let mut text = table.header();
    for row in rows {
        text.push('\n');
        text.push_str(&table.row(row.as_ref()));
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_they_must_be() {
        let columns = [
            Column::new("Name", Align::Right, 4),
            Column::new("Value", Align::Left, 0),
            Column::new("Comment", Align::Free, 10),
        ];
        let row = |cells: [&str; 3]| cells.map(str::to_owned);
        let rows = [row(["a", "1", "x"]), row(["longer", "1234567", ""])];
        let expected = "  Name | Value   | Comment\n\
                        -------+---------+-----------\n     \
                        a | 1       | x\n\
                        longer | 1234567 | \n";
        assert_eq!(render(&columns, &rows), expected);
    }
}
