mod conversations;
mod device;
mod entering;
mod faults;
mod hub;
mod server;
mod store;
mod trust;
