"""What the suite shares."""
