//! No attack, and several at once.

use std::sync::Arc;

use anyhow::Result;
use futures::try_join;

use super::{bodies, connections};
use crate::target::Target;

/// Does nothing: what is seen then, the other attacks are not to blame for.
pub(crate) async fn nothing(target: Arc<Target>) -> Result<()> {
    target.start_measuring();
    Ok(())
}

/// Memory, streams, connections and time at once.
pub(crate) async fn several(target: Arc<Target>) -> Result<()> {
    try_join!(
        bodies::announced(Arc::clone(&target)),
        bodies::half_open(Arc::clone(&target)),
        connections::silent(Arc::clone(&target)),
        bodies::fuzzed(target),
    )?;
    Ok(())
}
