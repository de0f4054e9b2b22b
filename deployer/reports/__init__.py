"""Questions that change nothing: status, history, explain and doctor."""
