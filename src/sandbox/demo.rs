//! The world of the demo and of many tests.

use super::world::World;

impl World {
    /// A partner, three customers, and one who is not yet a customer.
    pub fn demo(redirect_uri: impl Into<String>) -> Self {
        let mut world = Self::new(2026);
        world.redirect_uri(redirect_uri);
        world
    }
}
