Feature: a contract that trades elsewhere
  Its orders are gated here and sent there; what the venue says is booked against the venue's account.

  Scenario: sent, acknowledged, executed
    Given ETHER trades at the venue of Deribit
    When Ann buys 5 ETHER at 60000 as "there"
    And the venue says that "there" of Ann is open
    And the venue says that 2 of "there" of Ann traded at 59990 for 1 dollar
    Then Ann holds 2 ETHER
    And Deribit holds -2 ETHER
    And "there" has 3 left
    When the venue says that 3 of "there" of Ann traded at 60001 for 1 dollar
    Then it is refused: PRICE_BAND 60001 60000
    When the venue says that 4 of "there" of Ann traded at 60000 for 1 dollar
    Then it is refused: QUANTITY 4 3

  Scenario: a cancel is a wish until the venue says that it is over
    Given ETHER trades at the venue of Deribit
    And Ann buys 5 ETHER at 60000 as "there"
    When Ann cancels "there"
    Then "there" has 5 left
    When Ann cancels "there"
    Then it is refused: ORDER_STATUS "there" 2
    When the venue says that "there" of Ann is over
    Then "there" ended: BY_VENUE 0 0

  Scenario: while an outcome is unknown the account may only reduce
    Given ETHER trades at the venue of Deribit
    And Ann buys 5 ETHER at 60000 as "there"
    And the venue says that "there" of Ann is unknown
    When Ann buys 1 PERPETUAL at 60000
    Then it is refused: OUTCOME_UNKNOWN 1 0
    When the venue says that "there" of Ann is open
    And Ann buys 1 PERPETUAL at 60000
    Then it is taken

  Scenario: an order upstream cannot be edited here
    Given ETHER trades at the venue of Deribit
    And Ann buys 5 ETHER at 60000 as "there"
    When Ann edits "there" to 4 at 60000
    Then it is refused: ORDER_STATUS "there" 2
