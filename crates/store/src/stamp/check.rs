//! Whether the databases of a mesh belong together.

use super::{Found, Stamp};

/// What is wrong with a database that was lost in part or as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is the right one, and has fewer transactions than others have noted.
    WentBack {
        /// How many are missing at least.
        by: u64,
    },
    /// Others have noted another one under its name.
    Another,
    /// It has just been made, and others have been in use.
    New,
}

/// A database that is not what the others have noted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// As it is.
    pub own: Stamp,
    /// The furthest that others have noted of it, where they have.
    pub noted: Option<Stamp>,
    /// The names of those that have noted it; its own where that was outside of it.
    pub by: Vec<String>,
    /// What is wrong with it.
    pub fault: Fault,
}

/// One database's word against another.
struct Accusation<'f> {
    by: &'f str,
    against: &'f Stamp,
    noted: Option<&'f Stamp>,
    fault: Fault,
}

/// The databases of a mesh that are lost, exchanged or went back, by what the others have noted of them.
///
/// Where two contradict each other, the one that more of the others contradict is told.
#[must_use]
pub fn losses(databases: &[Found]) -> Vec<Loss> {
    let mut accusations: Vec<Accusation<'_>> =
        databases.iter().flat_map(|accuser| accused_by(accuser, databases)).collect();
    let mut losses = Vec::new();
    let accusers = |accusations: &[Accusation<'_>], name: &str| {
        accusations.iter().filter(|accusation| accusation.against.name == name).count()
    };
    while let Some(most) = databases
        .iter()
        .map(|found| &found.own)
        .max_by_key(|own| accusers(&accusations, &own.name))
        .filter(|own| accusers(&accusations, &own.name) > 0)
    {
        let (against, others): (Vec<_>, Vec<_>) =
            accusations.into_iter().partition(|accusation| accusation.against.name == most.name);
        let loss = loss(most, &against);
        // One that does not belong here contradicts all that do.
        let is_foreign = matches!(loss.fault, Fault::Another);
        accusations =
            others.into_iter().filter(|other| !is_foreign || other.by != most.name).collect();
        losses.push(loss);
    }
    losses
}

fn accused_by<'f>(accuser: &'f Found, databases: &'f [Found]) -> Vec<Accusation<'f>> {
    let others = databases.iter().filter(|found| found.own.name != accuser.own.name);
    let accuse = |found: &'f Found| {
        let own = &found.own;
        let noted = accuser.noted.iter().find(|noted| noted.name == own.name);
        let fault = match noted {
            Some(noted) => contradiction(noted, own),
            None => {
                let is_new = own.transactions == 0 && accuser.own.transactions > 0;
                is_new.then_some(Fault::New)
            }
        };
        fault.map(|fault| Accusation { by: &accuser.own.name, against: own, noted, fault })
    };
    let by_itself = accuser.witness.as_ref().and_then(|witness| {
        let fault = contradiction(witness, &accuser.own)?;
        let own = &accuser.own;
        Some(Accusation { by: &own.name, against: own, noted: Some(witness), fault })
    });
    others.filter_map(accuse).chain(by_itself).collect()
}

/// What is wrong with a database that is `own`, and of which this was noted.
fn contradiction(noted: &Stamp, own: &Stamp) -> Option<Fault> {
    if noted.transactions == 0 {
        // Nothing was in it, so nothing of it can be lost.
        return None;
    }
    if noted.id != own.id {
        return Some(Fault::Another);
    }
    let by = noted.transactions.saturating_sub(own.transactions);
    (by > 0).then_some(Fault::WentBack { by })
}

fn loss(own: &Stamp, accusations: &[Accusation<'_>]) -> Loss {
    let furthest = accusations
        .iter()
        .max_by_key(|accusation| accusation.noted.map_or(0, |noted| noted.transactions));
    Loss {
        own: own.clone(),
        noted: furthest.and_then(|furthest| furthest.noted.cloned()),
        by: accusations.iter().map(|accusation| accusation.by.to_owned()).collect(),
        fault: furthest.map_or(Fault::New, |furthest| furthest.fault),
    }
}

#[cfg(test)]
mod tests {
    use clock::Timestamp;

    use super::*;

    fn stamp(name: &str, id: &str, transactions: u64) -> Stamp {
        Stamp { name: name.to_owned(), id: id.to_owned(), transactions, at: Timestamp(1) }
    }

    /// Five databases that have noted each other at the tenth transaction, and had twelve.
    fn mesh() -> Vec<Found> {
        const NAMES: [&str; 5] = ["orchestrator", "order", "stock", "points", "payment"];
        let noted = |name: &str| {
            let others = NAMES.iter().filter(move |other| **other != name);
            others.map(|other| stamp(other, other, 10)).collect()
        };
        let found = |name| Found { own: stamp(name, name, 12), noted: noted(name), witness: None };
        NAMES.iter().map(|name| found(*name)).collect()
    }

    #[test]
    fn databases_that_are_as_far_as_noted_or_further_belong_together() {
        assert_eq!(losses(&mesh()), []);
        let mut mesh = mesh();
        for found in &mut mesh {
            found.own.transactions = 10;
        }
        assert_eq!(losses(&mesh), []);
    }

    #[test]
    fn one_that_went_back_is_told_with_by_how_much() {
        for index in 0..5 {
            let mut mesh = mesh();
            mesh[index].own.transactions = 7;
            let losses = losses(&mesh);
            let [loss] = &losses[..] else { panic!("{losses:?}") };
            assert_eq!((&loss.own, loss.fault), (&mesh[index].own, Fault::WentBack { by: 3 }));
            assert_eq!(loss.by.len(), 4);
        }
    }

    #[test]
    fn one_of_another_mesh_is_told_and_not_those_that_it_contradicts() {
        for index in 0..5 {
            let mut mesh = mesh();
            mesh[index].own.id = "elsewhere".to_owned();
            for noted in &mut mesh[index].noted {
                noted.id.push_str(" elsewhere");
            }
            let losses = losses(&mesh);
            let [loss] = &losses[..] else { panic!("{losses:?}") };
            assert_eq!((&loss.own, loss.fault), (&mesh[index].own, Fault::Another));
        }
    }

    #[test]
    fn one_that_was_made_anew_is_told_whether_or_not_it_was_noted() {
        for noted in [true, false] {
            let mut mesh = mesh();
            mesh[2] = Found { own: stamp("stock", "new", 0), noted: Vec::new(), witness: None };
            if !noted {
                mesh.iter_mut().for_each(|found| found.noted.clear());
            }
            let losses = losses(&mesh);
            let [loss] = &losses[..] else { panic!("{losses:?}") };
            assert_eq!(loss.own.name, "stock");
            assert_eq!(loss.fault, if noted { Fault::Another } else { Fault::New });
        }
    }

    #[test]
    fn a_first_start_that_was_cut_off_is_no_loss() {
        let mut mesh = mesh();
        for found in &mut mesh {
            (found.own.transactions, found.noted) = (0, Vec::new());
        }
        assert_eq!(losses(&mesh), []);
        // The journal is the first to write, and has noted the others by then.
        mesh[0].own.transactions = 1;
        mesh[0].noted = mesh[1..].iter().map(|found| found.own.clone()).collect();
        assert_eq!(losses(&mesh), []);
    }

    #[test]
    fn all_that_went_back_together_are_told_by_what_was_written_down_outside_of_them() {
        let mut mesh = mesh();
        for found in &mut mesh {
            found.witness = Some(Stamp { transactions: 15, ..found.own.clone() });
        }
        let losses = losses(&mesh);
        assert_eq!(losses.len(), 5);
        assert!(losses.iter().all(|loss| loss.fault == Fault::WentBack { by: 3 }), "{losses:?}");
        assert!(losses.iter().all(|loss| loss.by == [loss.own.name.clone()]));
    }

    #[test]
    fn two_that_went_back_are_both_told() {
        let mut mesh = mesh();
        mesh[1].own.transactions = 9;
        mesh[4].own.transactions = 1;
        let mut faults: Vec<_> =
            losses(&mesh).into_iter().map(|loss| (loss.own.name, loss.fault)).collect();
        faults.sort_by(|one, other| one.0.cmp(&other.0));
        assert_eq!(
            faults,
            [
                ("order".to_owned(), Fault::WentBack { by: 1 }),
                ("payment".to_owned(), Fault::WentBack { by: 9 })
            ]
        );
    }
}
