//! The index and the synchroniser against a pretend Salesforce: whether the one is as the other, and what that costs.

mod changes;
mod desk;
mod load;
mod people;
mod right;
mod storm;
mod thrift;
