//! How many connections each address has open.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// Counts open connections by address.
#[derive(Debug, Clone)]
pub(super) struct PerAddress {
    most: u32,
    open: Arc<Mutex<HashMap<IpAddr, u32>>>,
}

/// One open connection; not counted any more when dropped.
#[derive(Debug)]
pub(super) struct Entry {
    address: IpAddr,
    open: Arc<Mutex<HashMap<IpAddr, u32>>>,
}

impl PerAddress {
    pub(super) fn new(most: u32) -> Self {
        Self { most, open: Arc::default() }
    }

    /// Counts a connection; `None`: the address has as many as it may.
    pub(super) fn enter(&self, address: IpAddr) -> Option<Entry> {
        let address = address.to_canonical();
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(address).or_insert(0);
        if *count >= self.most {
            return None;
        }
        *count += 1;
        Some(Entry { address, open: self.open.clone() })
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_has_its_share() {
        let (a, b) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        let per_address = PerAddress::new(2);
        let first = per_address.enter(a).unwrap();
        let _second = per_address.enter(a).unwrap();
        assert!(per_address.enter(a).is_none());
        let other = per_address.enter(b).unwrap();
        drop((first, other));
        assert!(per_address.enter(a).is_some());
        assert_eq!(per_address.open.lock().unwrap().len(), 1, "an address without connections takes no memory");
    }
}
