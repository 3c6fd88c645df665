Feature: charges and capped gains of a beneficial owner, over all its accounts
  A lot is worth 6 dollars and may fall by a tenth of that. What depends on size is asked of an owner, not of an account.

  Scenario: two accounts with half the position each are asked what one with the whole is
    Given owner Smith of Ann and Bea
    And PERPETUAL beyond 60 dollars is charged 50 per cent
    And the marks are published again
    And Dealer sells 40 PERPETUAL at 60000
    And Cat buys 20 PERPETUAL at 60000
    And Ann buys 10 PERPETUAL at 60000
    And Bea buys 10 PERPETUAL at 60000
    Then Cat is asked 42 dollars
    And Ann is asked 21 dollars
    And Ann and Bea are asked as much together as Cat

  Scenario: an account that joins others has no share of what is free until the next publication
    Given PERPETUAL beyond 60 dollars is charged 50 per cent
    And the marks are published again
    And owner Smith of Ann and Bea
    And Dealer sells 20 PERPETUAL at 60000
    And Ann buys 10 PERPETUAL at 60000
    And Bea buys 10 PERPETUAL at 60000
    Then Ann is asked 6 dollars
    And Bea is asked 36 dollars
    When the marks are published again
    Then Ann is asked 21 dollars
    And Bea is asked 21 dollars

  Scenario: a desk or a firm is no owner
    Given desk Rates of Ann and Bea
    And firm House of Ann and Bea
    And PERPETUAL beyond 60 dollars is charged 50 per cent
    And the marks are published again
    And Dealer sells 10 PERPETUAL at 60000
    And Ann buys 10 PERPETUAL at 60000
    Then Ann is asked 6 dollars

  Scenario: recent gains count up to a cap of the owner
    Given owner Smith of Ann and Bea
    And gains in PERPETUAL count up to 10 dollars
    And the marks are published again
    And Dealer sells 60 PERPETUAL at 60000
    And Cat buys 20 PERPETUAL at 60000
    And Ann buys 20 PERPETUAL at 60000
    And Bea buys 20 PERPETUAL at 60000
    When the mark of PERPETUAL becomes 72000
    Then Cat has 1010 dollars of equity
    And Ann has 1005 dollars of equity
    And Bea has 1005 dollars of equity

  Scenario: a gain of the minute before a settlement is no cash a minute later, beyond its cap
    Given gains in PERPETUAL count up to 10 dollars
    And the marks are published again
    And Dealer sells 60 PERPETUAL at 60000
    And Ann buys 60 PERPETUAL at 60000
    When the mark of PERPETUAL becomes 72000
    Then Ann has 1010 dollars of equity
    When PERPETUAL is settled
    Then 10 dollars of Ann became cash and 62 dollars wait
    And Ann has 1020 dollars of equity
    When the mark of PERPETUAL becomes 60000
    Then Ann has 1000 dollars of equity

  Scenario: what a capped contract may gain covers nothing that another may lose
    Given Dealer sells 20 PERPETUAL at 60000
    And Dealer buys 20 FUTURE at 60000
    And Ann buys 20 PERPETUAL at 60000
    And Ann sells 20 FUTURE at 60000
    Then Ann is asked 0 dollars
    When gains in PERPETUAL count up to 100 dollars
    And the marks are published again
    Then Ann is asked 12 dollars
