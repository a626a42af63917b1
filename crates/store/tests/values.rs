//! Plain values, on SQLite: what goes into a statement comes out of a row as it was, and what is of another type is told.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod test_store;

use clock::Clock;
use std::sync::Arc;

use clock::Timestamp;
use sqlx::{Connection as _, SqliteConnection};
use store::{
    Connection, Error, FromValue, ToValue, Value, Values, millis,
    sqlite::{self, Schema},
};
use test_store::Sqlite;

/// Runs `work` in a transaction of a database of its own.
async fn with<T: Send + 'static>(
    work: impl FnMut(&Connection) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    Sqlite::open().await.database.write(work).await
}

/// What becomes of a value on its way through a column.
fn through<T: FromValue>(connection: &Connection, value: impl ToValue) -> Result<T, Error> {
    connection.execute("delete from effect", ())?;
    connection.execute("insert into effect (label, plain) values ('x', ?1)", [value])?;
    connection.one("select plain from effect", (), |row| row.get(0))
}

#[tokio::test]
async fn every_type_of_value_comes_back_as_it_was() {
    let checked = with(|connection| {
        for number in [0, 1, -1, i64::MAX, i64::MIN] {
            assert_eq!(through::<i64>(connection, number)?, number);
            assert_eq!(through::<Option<i64>>(connection, Some(number))?, Some(number));
        }
        for number in [0, 1, u32::MAX] {
            assert_eq!(through::<u32>(connection, number)?, number);
            assert_eq!(through::<u64>(connection, number)?, u64::from(number));
        }
        for truth in [true, false] {
            assert_eq!(through::<bool>(connection, truth)?, truth);
        }
        for text in ["", "tea", "Grüße \u{1f375}", "nul \0 inside", "12", "it's"] {
            assert_eq!(through::<String>(connection, text)?, text);
            assert_eq!(through::<String>(connection, text.to_owned())?, text);
            assert_eq!(through::<Option<String>>(connection, Some(&text))?.as_deref(), Some(text));
        }
        for bytes in [&[][..], b"\0\xff", b"text", &[7; 5_000]] {
            assert_eq!(through::<Vec<u8>>(connection, bytes)?, bytes);
            assert_eq!(through::<Vec<u8>>(connection, bytes.to_vec())?, bytes);
        }
        assert_eq!(through::<Vec<u8>>(connection, [1, 2, 3])?, [1, 2, 3]);
        assert_eq!(through::<Option<String>>(connection, None::<&str>)?, None);
        assert_eq!(through::<Option<bool>>(connection, Value::Null)?, None);
        Ok(())
    });
    checked.await.unwrap();
}

fn mistyped<T: FromValue + std::fmt::Debug>(
    connection: &Connection,
    value: impl ToValue,
) -> (&'static str, &'static str) {
    match through::<T>(connection, value).unwrap_err() {
        Error::Mistyped { column: 0, found, wanted } => (found, wanted),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_value_of_another_type_is_mistyped_and_the_message_names_both() {
    let checked = with(|connection| {
        let told = [
            (mistyped::<i64>(connection, "7"), ("a text", "an integer")),
            (mistyped::<i64>(connection, [7_u8; 1]), ("a blob", "an integer")),
            (mistyped::<String>(connection, 7_i64), ("an integer", "a text")),
            (mistyped::<String>(connection, [7_u8; 1]), ("a blob", "a text")),
            (mistyped::<Vec<u8>>(connection, "7"), ("a text", "a blob")),
            (mistyped::<bool>(connection, 2_i64), ("an integer", "a boolean")),
            (mistyped::<bool>(connection, "true"), ("a text", "a boolean")),
            (mistyped::<Option<i64>>(connection, "7"), ("a text", "an integer")),
        ];
        for (told, expected) in told {
            assert_eq!(told, expected);
        }
        Ok(through::<i64>(connection, "7").unwrap_err().to_string())
    });
    let sentence = "column 0 of a row is a text and should be an integer";
    assert_eq!(checked.await.unwrap(), sentence);
}

#[tokio::test]
async fn null_is_read_only_where_there_may_be_none() {
    let checked = with(|connection| {
        assert_eq!(mistyped::<i64>(connection, Value::Null).0, "NULL");
        assert_eq!(mistyped::<u64>(connection, Value::Null).0, "NULL");
        assert_eq!(mistyped::<bool>(connection, Value::Null).0, "NULL");
        assert_eq!(mistyped::<String>(connection, Value::Null).0, "NULL");
        assert_eq!(mistyped::<Vec<u8>>(connection, Value::Null).0, "NULL");
        Ok(())
    });
    checked.await.unwrap();
}

#[tokio::test]
async fn an_integer_that_does_not_fit_is_mistyped_and_never_another_number() {
    let checked = with(|connection| {
        // This is what a number beyond i64 would have become.
        assert_eq!(mistyped::<u64>(connection, -1_i64).0, "a negative integer");
        assert_eq!(mistyped::<u64>(connection, i64::MIN).0, "a negative integer");
        assert_eq!(mistyped::<u32>(connection, -1_i64).0, "a negative integer");
        assert_eq!(mistyped::<u32>(connection, i64::from(u32::MAX) + 1).0, "an integer");
        assert_eq!(through::<u64>(connection, i64::MAX)?, i64::MAX.unsigned_abs());
        Ok(())
    });
    checked.await.unwrap();
}

#[tokio::test]
async fn what_only_a_meddler_writes_is_mistyped_too() {
    let checked = with(|connection| {
        let found = |value: &str| {
            let statement = format!("select {value}");
            match connection.one(&statement, (), |row| row.get::<Option<String>>(0)).unwrap_err() {
                Error::Mistyped { found, .. } => found,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(found("1.5"), "a number with a fraction");
        assert_eq!(found("cast(x'ff' as text)"), "a text that is not UTF-8");
        let beyond = connection.one("select 1", (), |row| row.get::<i64>(1)).unwrap_err();
        assert!(matches!(beyond, Error::Mistyped { column: 1, found: "missing", .. }));
        Ok(())
    });
    checked.await.unwrap();
}

#[tokio::test]
async fn the_bytes_of_a_text_are_read_whatever_they_are() {
    let checked = with(|connection| {
        let bytes =
            |value: &str| connection.one(&format!("select {value}"), (), |row| row.bytes(0));
        assert_eq!(bytes("'tea'")?, b"tea");
        assert_eq!(bytes("cast(x'ff00' as text)")?, b"\xff\0");
        assert_eq!(bytes("x'00'")?, b"\0");
        for (other, what) in [("7", "a number"), ("1.5", "a number"), ("null", "NULL")] {
            let error = bytes(other).unwrap_err();
            assert!(matches!(error, Error::Mistyped { found, .. } if found == what), "{error}");
        }
        Ok(())
    });
    checked.await.unwrap();
}

#[tokio::test]
async fn an_instant_is_kept_to_the_millisecond_and_one_before_the_epoch_is_none() {
    let checked = with(|connection| {
        let instant = |at: i64| connection.one("select ?1", [at], |row| row.instant(0));
        assert_eq!(
            instant(millis(Timestamp(1_700_000_000_123)))?,
            Some(Timestamp(1_700_000_000_123))
        );
        assert_eq!(instant(-1)?, None);
        assert_eq!(millis(Timestamp(u64::MAX)), i64::MAX);
        Ok(())
    });
    checked.await.unwrap();
}

fn refused<V: Values>(connection: &Connection, values: V) {
    let statement = "insert into effect (label, plain) values (?1, ?2)";
    let error = connection.execute(statement, values).unwrap_err();
    assert!(matches!(error, Error::Statement(_)), "{error:?}");
}

#[tokio::test]
async fn too_few_or_too_many_values_are_refused_and_change_nothing() {
    let checked = with(|connection| {
        refused(connection, ());
        refused(connection, ["one"]);
        refused(connection, ("one", 2_i64, "three"));
        refused(connection, ["one", "two", "three"]);
        refused(connection, &[Value::Text("one")][..]);
        let one = connection.one("select 1", ["one"], |row| row.get::<i64>(0)).unwrap_err();
        assert!(matches!(one, Error::Statement(_)), "{one:?}");
        let all = connection.all("select ?1", (), |row| row.get::<i64>(0)).unwrap_err();
        assert!(matches!(all, Error::Statement(_)), "{all:?}");
        Ok(connection.has_changed())
    });
    assert!(!checked.await.unwrap());
}

#[tokio::test]
async fn a_value_may_stand_in_a_statement_twice_and_in_any_order() {
    let twelve =
        (1_i64, "b", [3_u8; 1], true, None::<i64>, 6_u32, 7_i64, 8_i64, 9_i64, 10_i64, 11_i64, "l");
    let checked = with(move |connection| {
        let swapped: Vec<(String, i64, i64)> = connection.all(
            "select ?2, ?1, ?1 union all select ?2, ?1 + 1, ?1",
            (7_i64, "x"),
            |row| Ok::<_, Error>((row.get(0)?, row.get(1)?, row.get(2)?)),
        )?;
        assert_eq!(swapped, [("x".to_owned(), 7, 7), ("x".to_owned(), 8, 7)]);
        let ends = "select ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12";
        let ends = connection.one(ends, twelve, |row| {
            Ok::<_, Error>((row.get::<i64>(0)?, row.get::<bool>(3)?, row.get::<String>(11)?))
        })?;
        assert_eq!(ends, (1, true, "l".to_owned()));
        Ok(())
    });
    checked.await.unwrap();
}

#[tokio::test]
async fn a_first_row_that_must_be_there_is_missed_and_one_that_may_is_not() {
    let checked = with(|connection| {
        let none = "select label from effect";
        let missing = connection.one(none, (), |row| row.get::<String>(0)).unwrap_err();
        assert!(matches!(missing, Error::NoRow), "{missing:?}");
        assert_eq!(connection.optional(none, (), |row| row.get::<String>(0))?, None);
        assert!(connection.all(none, (), |row| row.get::<String>(0))?.is_empty());
        let mut insert = connection.prepare("insert into effect (label) values (?1)")?;
        for label in ["a", "b", "c"] {
            assert_eq!(insert.execute([label])?, 1);
        }
        let rows = "select label from effect order by label";
        assert_eq!(connection.one(rows, (), |row| row.get::<String>(0))?, "a");
        // Other statements may run while rows are read; reading ends at the first that fails.
        let mut read = 0;
        let failed = connection.all(rows, (), |row| {
            read += 1;
            connection.one("select ?1", [row.get::<String>(0)?], |row| row.get::<i64>(0))
        });
        assert!(matches!(failed, Err(Error::Mistyped { .. })), "{failed:?}");
        Ok(read)
    });
    assert_eq!(checked.await.unwrap(), 1);
}

#[tokio::test]
async fn work_that_is_taken_back_goes_on_as_if_it_had_just_begun() {
    let test_store = Arc::new(Sqlite::open().await);
    let written = test_store.database.write(|connection| {
        assert!(!connection.has_changed());
        connection.lock("a")?;
        Sqlite::add(connection, "gone")?;
        assert!(connection.has_changed());
        connection.roll_back()?;
        connection.lock("a")?;
        Sqlite::add(connection, "kept")
    });
    written.await.unwrap();
    assert_eq!((test_store.count("gone").await, test_store.count("kept").await), (0, 1));
}

/// Somebody's shell, say, that has begun to write and does not end.
#[tokio::test]
async fn a_write_that_another_transaction_keeps_out_is_told_to_be_run_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kept-out.db");
    let schema = Schema::own(&[("effects", "create table effect (label text not null)")]);
    let database = sqlite::open(&path, &[schema], &Clock::system()).await.unwrap();
    let mut shell = SqliteConnection::connect(path.to_str().unwrap()).await.unwrap();
    sqlx::query("begin immediate").execute(&mut shell).await.unwrap();
    let kept_out = database.write(|connection| Sqlite::add(connection, "x")).await.unwrap_err();
    assert!(matches!(kept_out, Error::Conflict(_)), "{kept_out:?}");
    sqlx::query("rollback").execute(&mut shell).await.unwrap();
    database.write(|connection| Sqlite::add(connection, "x")).await.unwrap();
}
