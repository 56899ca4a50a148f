"""The views of `/v2`: they read headers, call one service and set headers."""
