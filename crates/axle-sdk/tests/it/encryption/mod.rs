mod conversations;
mod device;
mod faults;
mod hub;
mod server;
mod store;
mod trust;
