"""EventBridge: events of AWS's services and of users go to the targets of the rules that match them."""
