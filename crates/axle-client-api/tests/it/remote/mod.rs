//! What other servers tell, and what they are told.

mod directory;
mod media;
mod profiles;
mod spaces;
mod told;
