"""Which method, and which samples next: closed-form candidates, their weights, and what to run on the target."""
