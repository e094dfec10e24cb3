"""What a promotion knows, as data. The SDK's sandbox passes it through: to make the models anew takes half of a run's start."""
