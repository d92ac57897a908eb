"""The example application: a shop whose orders survive a killed worker, and an audit that proves it."""
