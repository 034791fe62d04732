"""What an attacker may try, on a platform that is guarded as one in a network is: TLS, a token, budgets."""
