//! Accounts, and the one way in which money moves between them.

use clock::Timestamp;
use money::{Currency, Money};
use participant::{Database, sqlite::Row};

use super::millis;
use crate::{error::Error, gateway::Connection};

const OPEN_ACCOUNT: &str = "
    insert into account (id, currency, balance)
    values (?1, ?2, 0)
    on conflict (id) do nothing";

const OPEN_WALLET: &str = "
    insert into wallet (user_id, account)
    values (?1, ?2)
    on conflict (user_id) do nothing";

const WALLET: &str = "
    select account.id, account.currency, account.balance
    from wallet join account on account.id = wallet.account
    where wallet.user_id = ?1";

// Relative and guarded for both accounts, before either is changed: two payments cannot both take the last money, and a
// transfer that is refused has changed nothing. Only the bank may owe. The limits are compared in such a way that no sum of
// the guard leaves 64 bits, however large the amount is.
const TAKE: &str = "
    update account
    set balance = balance - ?3
    where id = ?1
      and (balance >= ?3 or id like 'bank/%')
      and balance >= ?3 - 1000000000000000
      and not exists (
          select 1 from account
          where id = ?2 and balance > 1000000000000000 - ?3
      )";

const GIVE: &str = "update account set balance = balance + ?2 where id = ?1";

const BALANCE: &str = "select balance from account where id = ?1";

const RECORD: &str = "
    insert into movement (transaction_no, account, amount, at)
    values (?1, ?2, ?4, ?5), (?1, ?3, -?4, ?5)";

/// A user's wallet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wallet {
    pub(crate) user_id: String,
    pub(crate) account: Account,
    pub(crate) balance: Money,
}

/// An account of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    id: String,
    currency: Currency,
}

impl Account {
    /// Only the bank, where all money comes from.
    fn may_owe(&self) -> bool {
        self.id.starts_with("bank/")
    }
}

/// Money that goes from one account to another: two movements that sum to zero.
#[derive(Debug)]
pub(crate) struct Transfer {
    /// Names the transfer: there is never another of this number.
    pub(crate) transaction_no: String,
    pub(crate) from: Account,
    pub(crate) to: Account,
    /// Minor units; positive.
    pub(crate) amount: i64,
}

/// Opens an empty wallet, where the user has none; the wallet that they have then.
pub(crate) fn open_wallet(
    connection: &Connection,
    user_id: &str,
    currency: Currency,
) -> Result<Wallet, Error> {
    let account = open(connection, format!("wallet/{user_id}"), currency)?;
    connection.execute(OPEN_WALLET, (user_id, &account.id))?;
    wallet_for(connection, user_id, currency)
}

/// Puts money from the bank into a wallet.
pub(crate) fn top_up(
    connection: &Connection,
    transaction_no: String,
    user_id: &str,
    amount: Money,
    at: Timestamp,
) -> Result<Wallet, Error> {
    let to = wallet_for(connection, user_id, amount.currency)?.account;
    let from = open(connection, format!("bank/{}", amount.currency), amount.currency)?;
    let amount = amount.minor_units;
    transfer(connection, &Transfer { transaction_no, from, to, amount }, at)?;
    of(connection, user_id)
}

/// The shop's takings in a currency.
pub(crate) fn shop(connection: &Connection, currency: Currency) -> Result<Account, Error> {
    open(connection, format!("shop/{currency}"), currency)
}

/// The account of this id, opened where it is not there.
fn open(connection: &Connection, id: String, currency: Currency) -> Result<Account, Error> {
    connection.execute(OPEN_ACCOUNT, (&id, currency.as_str()))?;
    Ok(Account { id, currency })
}

/// Moves money and records it. What leaves one account arrives at the other.
pub(crate) fn transfer(
    connection: &Connection,
    transfer: &Transfer,
    at: Timestamp,
) -> Result<(), Error> {
    let Transfer { transaction_no, from, to, amount } = transfer;
    if connection.execute(TAKE, (&from.id, &to.id, amount))? == 0 {
        return Err(refusal(connection, transfer)?);
    }
    if connection.execute(GIVE, (&to.id, amount))? == 0 {
        // The failure takes back what was taken.
        return Err(Error::Unreadable { table: "account", key: to.id.clone() });
    }
    connection.execute(RECORD, (transaction_no, &to.id, &from.id, amount, millis(at)))?;
    Ok(())
}

/// Why the accounts' rules did not let a transfer pass.
fn refusal(connection: &Connection, transfer: &Transfer) -> Result<Error, Error> {
    let Transfer { from, amount, .. } = transfer;
    let balance: i64 = connection.one(BALANCE, [&from.id], |row| row.get(0))?;
    let asked = Money::new(from.currency, *amount);
    if balance < *amount && !from.may_owe() {
        return Ok(Error::InsufficientFunds { asked, balance: Money::new(from.currency, balance) });
    }
    Ok(Error::OverLimit { asked })
}

/// The user's wallet, which must be in this currency.
pub(crate) fn wallet_for(
    connection: &Connection,
    user_id: &str,
    currency: Currency,
) -> Result<Wallet, Error> {
    let wallet = of(connection, user_id)?;
    match wallet.account.currency == currency {
        true => Ok(wallet),
        false => Err(Error::CurrencyMismatch {
            user_id: user_id.to_owned(),
            wallet: wallet.account.currency,
            asked: currency,
        }),
    }
}

/// The user's wallet.
pub(crate) async fn wallet(database: &Database, user_id: &str) -> Result<Wallet, Error> {
    let user_id = user_id.to_owned();
    database.read(move |connection| of(connection, &user_id)).await
}

fn of(connection: &Connection, user_id: &str) -> Result<Wallet, Error> {
    let wallet = connection.optional(WALLET, [user_id], |row| read(row, user_id))?;
    wallet.ok_or_else(|| Error::WalletUnknown { user_id: user_id.to_owned() })
}

fn read(row: &Row<'_>, user_id: &str) -> Result<Wallet, Error> {
    let (id, currency): (String, String) = (row.get(0)?, row.get(1)?);
    let Ok(currency) = currency.parse() else {
        return Err(Error::Unreadable { table: "account", key: id });
    };
    let balance = Money::new(currency, row.get(2)?);
    Ok(Wallet { user_id: user_id.to_owned(), account: Account { id, currency }, balance })
}
