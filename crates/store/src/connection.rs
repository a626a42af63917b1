//! A connection, and the few ways in which statements run on it.

use std::{fmt, ops::ControlFlow};

use crate::{
    Dialect, Error, FromValue, Values,
    backend::{Columns, Session, Statement},
};

/// A connection inside a transaction.
///
/// A statement runs on the thread that calls, which is one of the database's own, so that a transaction of many
/// statements is handed from thread to thread once and not with each of them. Each text is prepared once and kept.
///
/// Parameters are `?1`, `?2`, … whichever database it is. A text is written in what the databases have in common: what
/// cannot be is named by [`Dialect`]. After a statement that failed, work gives the error back and runs no other: some
/// databases take no more in that transaction.
#[derive(Debug)]
pub struct Connection(Box<dyn Session>);

impl Connection {
    pub(crate) fn on(session: impl Session + 'static) -> Self {
        Self(Box::new(session))
    }

    /// Runs a statement that gives no rows, and tells how many it has changed.
    ///
    /// # Errors
    /// [`Error::Statement`], [`Error::Taken`], [`Error::Conflict`].
    pub fn execute(&self, statement: &str, values: impl Values) -> Result<usize, Error> {
        values.bind(|values| self.0.execute(statement, values))
    }

    /// A statement that is run more than once in a row, and looked for among those that are prepared once for all.
    ///
    /// # Errors
    /// [`Error::Statement`].
    pub fn prepare(&self, statement: &str) -> Result<Prepared<'_>, Error> {
        self.0.prepare(statement).map(Prepared)
    }

    /// The first row, as `read` takes it. There must be one.
    ///
    /// # Errors
    /// [`Error::NoRow`]; as [`Connection::execute`]; what `read` says.
    pub fn one<T, E: From<Error>>(
        &self,
        statement: &str,
        values: impl Values,
        read: impl FnOnce(&Row<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.optional(statement, values, read)?.ok_or_else(|| Error::NoRow.into())
    }

    /// The first row, where there is one.
    ///
    /// # Errors
    /// The errors of [`Connection::execute`], and those of `read`.
    pub fn optional<T, E: From<Error>>(
        &self,
        statement: &str,
        values: impl Values,
        read: impl FnOnce(&Row<'_>) -> Result<T, E>,
    ) -> Result<Option<T>, E> {
        let (mut read, mut first) = (Some(read), None);
        self.each(statement, values, |row| {
            first = read.take().map(|read| read(row));
            ControlFlow::Break(())
        })?;
        first.transpose()
    }

    /// All rows.
    ///
    /// # Errors
    /// The errors of [`Connection::execute`], and those of `read`.
    pub fn all<T, E: From<Error>>(
        &self,
        statement: &str,
        values: impl Values,
        mut read: impl FnMut(&Row<'_>) -> Result<T, E>,
    ) -> Result<Vec<T>, E> {
        let (mut all, mut failed) = (Vec::new(), None);
        self.each(statement, values, |row| match read(row) {
            Ok(one) => {
                all.push(one);
                ControlFlow::Continue(())
            }
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        })?;
        failed.map_or(Ok(all), Err)
    }

    fn each(
        &self,
        statement: &str,
        values: impl Values,
        mut each: impl FnMut(&Row<'_>) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        values.bind(|values| self.0.query(statement, values, &mut |row| each(&Row(row))))
    }

    /// Takes `name` for this transaction until its end; waits where another transaction has it, and sees then what that one
    /// has committed. Work that is taken back loses what it has taken.
    ///
    /// Where transactions run one by one there is nobody to wait for, and it costs nothing.
    ///
    /// # Errors
    /// [`Error::Statement`], [`Error::Conflict`].
    pub fn lock(&self, name: &str) -> Result<(), Error> {
        self.0.lock(name)
    }

    /// Takes back all that the running work has done so far; the work goes on as if it had just begun. Work that is told
    /// that this failed gives the error back: it is run again where there is a way back.
    ///
    /// # Errors
    /// [`Error::Statement`].
    pub fn roll_back(&self) -> Result<(), Error> {
        self.0.roll_back()
    }

    /// Whether the work that runs on this connection has changed a row since it began, also one that it has changed back,
    /// or has lost its transaction. Work that is refused after that takes the rest of its transaction with it, which is then
    /// run again.
    #[must_use]
    pub fn has_changed(&self) -> bool {
        self.0.has_changed()
    }

    /// How statements are written where the databases have nothing in common.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        self.0.dialect()
    }

    pub(crate) fn probe(&self) -> Result<(), Error> {
        self.0.probe()
    }

    /// A piece of work begins here.
    pub(crate) fn begin_work(&self) {
        self.0.begin_work();
    }
}

/// A prepared statement that gives no rows.
pub struct Prepared<'c>(Box<dyn Statement + 'c>);

impl fmt::Debug for Prepared<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Prepared")
    }
}

impl Prepared<'_> {
    /// Runs it with these values, and tells how many rows it has changed.
    ///
    /// # Errors
    /// The errors of [`Connection::execute`].
    pub fn execute(&mut self, values: impl Values) -> Result<usize, Error> {
        values.bind(|values| self.0.execute(values))
    }
}

/// A row that a statement gives.
pub struct Row<'r>(&'r dyn Columns);

impl fmt::Debug for Row<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Row")
    }
}

impl Row<'_> {
    /// The value of a column, counted from 0.
    ///
    /// # Errors
    /// [`Error::Mistyped`].
    pub fn get<T: FromValue>(&self, column: usize) -> Result<T, Error> {
        let mistyped = |found| Error::Mistyped { column, found, wanted: T::WANTED };
        let value = self.0.value(column).map_err(mistyped)?;
        T::from_value(value).ok_or_else(|| mistyped(value.kind()))
    }

    /// The bytes of a blob, or of a text: what was meddled with in SQL is often a text afterwards, and its reader is to
    /// judge by the bytes.
    ///
    /// # Errors
    /// [`Error::Mistyped`].
    pub fn bytes(&self, column: usize) -> Result<Vec<u8>, Error> {
        let mistyped = |found| Error::Mistyped { column, found, wanted: Vec::<u8>::WANTED };
        self.0.bytes(column).map(<[u8]>::to_vec).map_err(mistyped)
    }
}
