//! The enums and bundles of random hardware.

use rtl_hdl::{hw_bundle, hw_enum, Bits};

hw_enum! {
    /// A state machine with codes to spare.
    pub enum Three {
        /// 0.
        Apple,
        /// 1.
        Bread,
        /// 2.
        Cheese,
    }
}

hw_enum! {
    /// One bit.
    pub enum Two {
        /// 0.
        Off,
        /// 1.
        On,
    }
}

hw_enum! {
    /// Every code of three bits but three.
    pub enum Five {
        /// 0.
        Monday,
        /// 1.
        Tuesday,
        /// 2.
        Wednesday,
        /// 3.
        Thursday,
        /// 4.
        Friday,
    }
}

hw_bundle! {
    /// A bundle in a bundle.
    pub struct Inner {
        /// A flag.
        pub flag: Bits<1>,
        /// Another.
        pub state: Three,
    }
}

hw_bundle! {
    /// Two words and a half.
    pub struct Outer {
        /// Wide.
        pub data: Bits<130>,
        /// Nested.
        pub inner: Inner,
        /// Narrow.
        pub id: Bits<7>,
    }
}
