//! Accounts, and the one way in which money moves between them.

use clock::Timestamp;
use money::{Currency, Money};
use participant::Database;
use sqlx::SqliteExecutor;

use super::millis;
use crate::{error::Error, gateway::Connection};

const OPEN_ACCOUNT: &str = "
    insert into account (id, currency, balance)
    values ($1, $2, 0)
    on conflict (id) do nothing";

const OPEN_WALLET: &str = "
    insert into wallet (user_id, account)
    values ($1, $2)
    on conflict (user_id) do nothing";

const WALLET: &str = "
    select account.id, account.currency, account.balance
    from wallet join account on account.id = wallet.account
    where wallet.user_id = $1";

// Relative and guarded, both accounts in one statement: two payments cannot both take the last money, and a transfer that
// is refused has changed neither account. Only the bank may owe. The limits are compared in such a way that no sum of the
// guard leaves 64 bits, however large the amount is.
const MOVE: &str = "
    update account
    set balance = balance + case id when $1 then -$3 else $3 end
    where id in ($1, $2)
      and not exists (
          select 1 from account
          where id = $1 and (balance < $3 and id not like 'bank/%' or balance < $3 - 1000000000000000)
      )
      and not exists (
          select 1 from account
          where id = $2 and balance > 1000000000000000 - $3
      )";

const BALANCE: &str = "select balance from account where id = $1";

const RECORD: &str = "
    insert into movement (transaction_no, account, amount, at)
    values ($1, $2, $4, $5), ($1, $3, -$4, $5)";

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
pub(crate) async fn open_wallet(
    connection: &mut Connection,
    user_id: &str,
    currency: Currency,
) -> Result<Wallet, Error> {
    let account = open(connection, format!("wallet/{user_id}"), currency).await?;
    sqlx::query(OPEN_WALLET).bind(user_id).bind(&account.id).execute(&mut *connection).await?;
    wallet_for(connection, user_id, currency).await
}

/// Puts money from the bank into a wallet.
pub(crate) async fn top_up(
    connection: &mut Connection,
    transaction_no: String,
    user_id: &str,
    amount: Money,
    at: Timestamp,
) -> Result<Wallet, Error> {
    let wallet = wallet_for(connection, user_id, amount.currency).await?;
    let bank = open(connection, format!("bank/{}", amount.currency), amount.currency).await?;
    let amount = amount.minor_units;
    transfer(connection, &Transfer { transaction_no, from: bank, to: wallet.account, amount }, at)
        .await?;
    of(connection, user_id).await
}

/// The shop's takings in a currency.
pub(crate) async fn shop(
    connection: &mut Connection,
    currency: Currency,
) -> Result<Account, Error> {
    open(connection, format!("shop/{currency}"), currency).await
}

/// The account of this id, opened where it is not there.
async fn open(
    connection: &mut Connection,
    id: String,
    currency: Currency,
) -> Result<Account, Error> {
    sqlx::query(OPEN_ACCOUNT).bind(&id).bind(currency.as_str()).execute(connection).await?;
    Ok(Account { id, currency })
}

/// Moves money and records it. What leaves one account arrives at the other.
pub(crate) async fn transfer(
    connection: &mut Connection,
    transfer: &Transfer,
    at: Timestamp,
) -> Result<(), Error> {
    let Transfer { transaction_no, from, to, amount } = transfer;
    let moved = sqlx::query(MOVE)
        .bind(&from.id)
        .bind(&to.id)
        .bind(amount)
        .execute(&mut *connection)
        .await?
        .rows_affected();
    match moved {
        2 => {}
        0 => return Err(refusal(connection, transfer).await?),
        // One of the two accounts is not there; the failure takes back what the other was changed by.
        _ => return Err(Error::Unreadable { table: "account", key: to.id.clone() }),
    }
    sqlx::query(RECORD)
        .bind(transaction_no)
        .bind(&to.id)
        .bind(&from.id)
        .bind(amount)
        .bind(millis(at))
        .execute(connection)
        .await?;
    Ok(())
}

/// Why the accounts' rules did not let a transfer pass.
async fn refusal(connection: &mut Connection, transfer: &Transfer) -> Result<Error, Error> {
    let Transfer { from, amount, .. } = transfer;
    let balance: i64 = sqlx::query_scalar(BALANCE).bind(&from.id).fetch_one(connection).await?;
    let asked = Money::new(from.currency, *amount);
    if balance < *amount && !from.may_owe() {
        return Ok(Error::InsufficientFunds { asked, balance: Money::new(from.currency, balance) });
    }
    Ok(Error::OverLimit { asked })
}

/// The user's wallet, which must be in this currency.
pub(crate) async fn wallet_for(
    connection: &mut Connection,
    user_id: &str,
    currency: Currency,
) -> Result<Wallet, Error> {
    let wallet = of(connection, user_id).await?;
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
    of(database.read(), user_id).await
}

async fn of(executor: impl SqliteExecutor<'_>, user_id: &str) -> Result<Wallet, Error> {
    let row: Option<(String, String, i64)> =
        sqlx::query_as(WALLET).bind(user_id).fetch_optional(executor).await?;
    let (id, currency, balance) =
        row.ok_or_else(|| Error::WalletUnknown { user_id: user_id.to_owned() })?;
    let currency: Currency =
        currency.parse().map_err(|_| Error::Unreadable { table: "account", key: id.clone() })?;
    let balance = Money::new(currency, balance);
    Ok(Wallet { user_id: user_id.to_owned(), account: Account { id, currency }, balance })
}
