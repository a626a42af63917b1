//! The user is a member in good standing.

use facade::Decline;
use proto::facade::v1::Reason;

use crate::{checks::Check, facts::Facts};

pub(super) struct User;

impl Check for User {
    fn judge(&self, facts: &Facts) -> Result<(), Decline> {
        let user_id = &facts.buyer.user_id;
        if !facts.buyer.found {
            let sentence = format!("no member has the user id {user_id}");
            return Err(Decline::new(Reason::UserUnknown, sentence));
        }
        if facts.buyer.suspended {
            let sentence = format!("the member {user_id} is suspended");
            return Err(Decline::new(Reason::UserSuspended, sentence));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::tests::good;

    #[test]
    fn an_unknown_or_suspended_user_may_not_order() {
        let mut facts = good();
        facts.buyer.suspended = true;
        assert_eq!(User.judge(&facts).unwrap_err().code, "USER_SUSPENDED");
        facts.buyer.found = false;
        let decline = User.judge(&facts).unwrap_err();
        assert_eq!(decline, Decline::new(Reason::UserUnknown, "no member has the user id ada"));
        assert_eq!(User.judge(&good()), Ok(()));
    }
}
