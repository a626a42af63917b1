//! The gateway that moves the money of a payment.

use clock::Timestamp;

use crate::{error::Error, payment::Payment};

pub use ::store::Connection;

/// Moves the money of one payment, inside the transaction that records the payment.
///
/// What it writes on the connection is kept with the payment's new state, or not at all; a decline must come before it
/// has written anything. A gateway to an outside party cannot call out from here, for no transaction may wait for
/// somebody else: it would record an instruction, leave the payment PROCESSING, and settle it when the outside party
/// has answered.
pub trait Gateway: Clone + Send + Sync + 'static {
    /// Takes the payment's amount from the user.
    ///
    /// # Errors
    /// A decline, or a failure of the database.
    fn charge(
        &self,
        connection: &Connection,
        payment: &Payment,
        at: Timestamp,
    ) -> Result<(), Error>;

    /// Gives the payment's whole amount back to the user.
    ///
    /// # Errors
    /// A failure of the database.
    fn refund(
        &self,
        connection: &Connection,
        payment: &Payment,
        at: Timestamp,
    ) -> Result<(), Error>;
}
