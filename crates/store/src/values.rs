//! The parameters of a statement, as its caller has them.

use crate::{ToValue, Value};

/// The parameters of a statement, from `?1` on: `()` for none, an array of one type, a tuple of several, or a slice of
/// values where their number is known only at run time.
pub trait Values {
    /// Hands them to `run`, borrowed and in one piece.
    fn bind<R>(&self, run: impl FnOnce(&[Value<'_>]) -> R) -> R;
}

impl Values for () {
    fn bind<R>(&self, run: impl FnOnce(&[Value<'_>]) -> R) -> R {
        run(&[])
    }
}

impl Values for [Value<'_>] {
    fn bind<R>(&self, run: impl FnOnce(&[Value<'_>]) -> R) -> R {
        run(self)
    }
}

impl<V: Values + ?Sized> Values for &V {
    fn bind<R>(&self, run: impl FnOnce(&[Value<'_>]) -> R) -> R {
        (**self).bind(run)
    }
}

impl<T: ToValue, const N: usize> Values for [T; N] {
    fn bind<R>(&self, run: impl FnOnce(&[Value<'_>]) -> R) -> R {
        run(&self.each_ref().map(T::to_value))
    }
}

macro_rules! tuple {
    ($($of:ident $at:tt),+) => {
        impl<$($of: ToValue),+> Values for ($($of,)+) {
            fn bind<R>(&self, run: impl FnOnce(&[Value<'_>]) -> R) -> R {
                run(&[$(self.$at.to_value()),+])
            }
        }
    };
}

tuple!(A 0);
tuple!(A 0, B 1);
tuple!(A 0, B 1, C 2);
tuple!(A 0, B 1, C 2, D 3);
tuple!(A 0, B 1, C 2, D 3, E 4);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11);
