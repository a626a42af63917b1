//! Accounts, and the one way in which money moves between them.

use ::store::{Database, Row, millis};
use clock::Timestamp;
use money::{Currency, Money};

use crate::{error::Error, gateway::Connection};

/// The most that a wallet may be topped up to, in minor units. Money that is given back may bring it above.
const BALANCE_MAX: i64 = 1_000_000_000_000_000;

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

// The change is relative and guarded: two payments cannot both take the last money. Only the bank may be overdrawn. A sum
// that leaves 64 bits is a floating-point number here, and larger than the largest integer.
const CHANGE: &str = "
    update account
    set balance = balance + ?2
    where id = ?1
      and (balance + ?2 >= 0 or id like 'bank/%')
      and balance + ?2 between -9223372036854775807 and ?3";

const BALANCE: &str = "select balance from account where id = ?1";

const RECORD: &str = "
    insert into movement (transaction_no, account, amount, at)
    values (?1, ?2, ?4, ?6), (?1, ?3, ?5, ?6)";

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
    /// The shop's takings in a currency.
    pub(crate) fn shop(currency: Currency) -> Self {
        Self { id: format!("shop/{currency}"), currency }
    }

    /// Where all money of a currency comes from.
    fn bank(currency: Currency) -> Self {
        Self { id: format!("bank/{currency}"), currency }
    }

    /// Only the bank.
    fn may_be_overdrawn(&self) -> bool {
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
    /// The most that `to` may hold afterwards.
    pub(crate) limit: i64,
}

impl Transfer {
    /// The limit of money that is there already. It cannot be refused, since what gives money back must not be: only what
    /// comes in from outside is limited. All balances of a currency sum to zero and the bank's debt fits into 64 bits, so
    /// every other balance does.
    pub(crate) const UNLIMITED: i64 = i64::MAX;
}

/// Opens an empty wallet, where the user has none; the wallet that they have then.
pub(crate) fn open_wallet(
    connection: &Connection,
    user_id: &str,
    currency: Currency,
) -> Result<Wallet, Error> {
    let account = Account { id: format!("wallet/{user_id}"), currency };
    open(connection, &account)?;
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
    let (from, amount) = (Account::bank(amount.currency), amount.minor_units);
    let limit = BALANCE_MAX;
    transfer(connection, &Transfer { transaction_no, from, to, amount, limit }, at)?;
    of(connection, user_id)
}

/// Opens the account, where it is not there.
fn open(connection: &Connection, account: &Account) -> Result<(), Error> {
    connection.execute(OPEN_ACCOUNT, (&account.id, account.currency.as_str()))?;
    Ok(())
}

/// Moves money and records it. What leaves one account arrives at the other; an account that is not there is opened. What
/// the accounts do not allow is refused before anything is written.
///
/// Accounts are locked in the order of their ids, whichever way the money goes: a charge and a refund wait for each other
/// in turn and never in a ring.
pub(crate) fn transfer(
    connection: &Connection,
    transfer: &Transfer,
    at: Timestamp,
) -> Result<(), Error> {
    check(connection, transfer)?;
    let Transfer { transaction_no, from, to, amount, limit } = transfer;
    let mut changes = [(from, -amount, Transfer::UNLIMITED), (to, *amount, *limit)];
    changes.sort_by(|(one, ..), (other, ..)| one.id.cmp(&other.id));
    for (account, by, limit) in changes {
        if !change(connection, account, by, limit)? {
            // Another transaction has changed the balance; this happens only where transactions run side by side.
            check(connection, transfer)?;
            return Err(Error::Unreadable { table: "account", key: account.id.clone() });
        }
    }
    let values = (transaction_no, &to.id, &from.id, *amount, -amount, millis(at));
    connection.execute(RECORD, values)?;
    Ok(())
}

/// Whether the accounts allow the transfer, by what is in them now. The limits are compared in such a way that no sum
/// leaves 64 bits, however large the amount is.
fn check(connection: &Connection, transfer: &Transfer) -> Result<(), Error> {
    let Transfer { from, to, amount, limit, .. } = transfer;
    let asked = Money::new(from.currency, *amount);
    let (left, held) = (balance(connection, from)?, balance(connection, to)?);
    if left < *amount && !from.may_be_overdrawn() {
        return Err(Error::InsufficientFunds { asked, balance: Money::new(from.currency, left) });
    }
    match left < amount - i64::MAX || held > limit - amount {
        true => Err(Error::OverLimit { asked }),
        false => Ok(()),
    }
}

/// Adds to what is in the account, which is opened where it is not there. False where the account does not allow it.
fn change(connection: &Connection, account: &Account, by: i64, limit: i64) -> Result<bool, Error> {
    if connection.execute(CHANGE, (&account.id, by, limit))? > 0 {
        return Ok(true);
    }
    open(connection, account)?;
    Ok(connection.execute(CHANGE, (&account.id, by, limit))? > 0)
}

/// The balance of the account; zero where the account does not exist yet.
fn balance(connection: &Connection, account: &Account) -> Result<i64, Error> {
    let balance: Option<i64> = connection.optional(BALANCE, [&account.id], |row| row.get(0))?;
    Ok(balance.unwrap_or_default())
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
