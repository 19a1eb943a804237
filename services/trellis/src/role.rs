//! The services that a process can run.

use std::collections::BTreeSet;
use std::fmt;

/// A service, as a part that a process can play.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, clap::ValueEnum)]
pub enum Role {
    /// The public API.
    Gateway,
    /// Accounts and sessions.
    User,
    /// Catalogue, stock, reservations.
    Inventory,
    /// Payments.
    Payment,
    /// Carts, orders, checkout.
    Order,
    /// What goes with what.
    Recommendation,
}

/// The roles of one process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roles(BTreeSet<Role>);

impl Role {
    /// Every role, the public one first.
    pub const ALL: [Self; 6] = [
        Self::Gateway,
        Self::User,
        Self::Inventory,
        Self::Payment,
        Self::Order,
        Self::Recommendation,
    ];

    /// The name on the command line and in settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::User => "user",
            Self::Inventory => "inventory",
            Self::Payment => "payment",
            Self::Order => "order",
            Self::Recommendation => "recommendation",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Roles {
    /// These roles, or every one when none is named.
    pub fn new(named: impl IntoIterator<Item = Role>) -> Self {
        let named: BTreeSet<Role> = named.into_iter().collect();
        if named.is_empty() { Self(Role::ALL.into()) } else { Self(named) }
    }

    /// Whether this process plays `role`.
    pub fn has(&self, role: Role) -> bool {
        self.0.contains(&role)
    }

    /// Whether the whole shop is in this process.
    pub fn are_all(&self) -> bool {
        self.0.len() == Role::ALL.len()
    }

    /// The roles in a fixed order.
    pub fn iter(&self) -> impl Iterator<Item = Role> + '_ {
        self.0.iter().copied()
    }
}

impl fmt::Display for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.iter().map(Role::name).collect();
        f.write_str(&names.join(", "))
    }
}
