//! The way into Salesforce.
